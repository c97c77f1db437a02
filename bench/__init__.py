"""Speed, as ratios against something run beside it on the same machine; never part of the tests."""
