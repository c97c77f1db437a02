"""Tests drive the real GIMP 3, in batch or with its windows on a screen that nobody sees.

agent: what runs inside GIMP. app: the GIMP that runs. place: where it lives, what is installed there, its settings.

A test that takes the fixture `gimp` has one without images, in batch, or with windows where its module has a fixture
`screen` that returns True. Each of the two is started once for all tests of the folder, and anew where a test has ended
it. It has the add-on, as `glaze install gimp` puts it there, and the module's daemon (`glaze_home`), which computes by
the module `engine`; it knows the functions of tests/gimp/inside.py. In a test:

    gimp.run("layer = new_layer(64, 48)")           # Python in GIMP; the last expression's value comes back
    gimp.run("paint(layer, data)", data=b"...")     # bytes and JSON's values go in and out
    outside, inside = gimp.path("out.png")          # one file, as the test and as GIMP call it

    gimp.soon("glaze(layer, run_mode=...)")         # code that opens a dialog: this returns at once
    gimp.window("Glaze layer")                      # waits for a window by the start of its title
    gimp.key("Glaze layer", "Return")
    gimp.answer()                                   # waits for what that code returns

A test fails by exceptions that a plug-in prints, by a plug-in that crashes, and by a GIMP that has ended.
`gimp.check()` raises what there has been so far, for tests that mean it.

GIMP may live in a root of its own (tools/gimp3.sh), of which only /tmp is shared. GLAZE_TEST_GIMP names another one.
"""
