# intsim: `make demo` and `make test` each set up all they need in .venv on a fresh machine.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP     = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# The committed golden file stays below 5 MB without what only moves values, and the attention of the middle blocks.
LEFT_OUT := *.attn.heads *.attn.[qkv] *.attn.merged *.tokens *_tokens encoder.patches decoder.grid decoder.upsample \
            encoder.blocks.[12].attn.softmax encoder.blocks.[12].attn.logits.requant

# Their dependencies exclude each other's versions in constraints.txt, so that they have an environment of their own.
COMPILERS ?= apache-tvm==0.27.0.post1 tosa-tools==2026.8.0 iree-base-compiler==3.13.0 iree-base-runtime==3.13.0 openvino==2026.4.1

.PHONY: help demo test quick properties fuzz coverage torch clusters rtl iverilog lint generated wheel jit-off without-numba numbas bits32 compilers runtimes cross dpi formal docs bench accuracy vectors stimuli model train clean pythons lowest site page chromium locked

help:
	@echo "make demo     run the shipped model on the shipped picture"
	@echo "make test     run the tests, on all processors"
	@echo "make quick    the inner loop: under a minute"
	@echo "make numbas   the kernels of every instruction set in one process, with every minor release of Numba from the lower bound"
	@echo "make pythons  the inner loop, with TESTS= all tests, with every other Python that this machine has; says which it has not"
	@echo "make lowest   the same with the lowest versions that pyproject.toml allows"
	@echo "make properties  every operator on 500 calls in each dialect, and 500 graphs, found by Hypothesis"
	@echo "make fuzz     damaged files of every kind through the commands, a quarter of an hour"
	@echo "make torch    the tests that need torch and transformers: training, published formulas, checkpoint.pth, folders"
	@echo "make clusters  golden sets on a Dask cluster, with a worker killed and the scheduler restarted, and by submitit"
	@echo "make rtl      simulate the units of examples/rtl in Icarus Verilog, on the shipped model, and compare"
	@echo "make page     the page that teaches with the hand, and its tests in headless Chromium"
	@echo "make compilers  networks in TVM, IREE and TOSA's reference model, and what compilers make of integers, some ten minutes"
	@echo "make runtimes  the same in TVM and TOSA's reference model alone, a minute and a half"
	@echo "make cross    the C reference by gcc and clang, for arm and big-endian s390x in qemu, and a million calls of each operator"
	@echo "make dpi      the C reference beside examples/rtl in one Verilator simulation"
	@echo "make formal   examples/rtl's requantization proved equal to the reference by yosys, some two minutes"
	@echo "make lint     style, spelling, types, the direction of imports, and that what is generated is current"
	@echo "make generated  renew the operators' stub, and their part of docs/arithmetic.md"
	@echo "make wheel    build a wheel, install it elsewhere, run the demo from there"
	@echo "make coverage the operator tests with the compiler switched off, and how many lines they cover"
	@echo "make without-numba  the reference part of the tests, and the demo, where Numba is not installed"
	@echo "make bits32   the same where NumPy's default integer has 32 bits, in Debian's Python for i386"
	@echo "make docs     run the commands in docs/ and put their real output beneath them"
	@echo "make site     build the documentation site in build/site, and check its links, under a minute"
	@echo "make bench    run the benchmarks in docs/performance.md anew, some fifteen minutes of a quiet machine"
	@echo "make accuracy measure the tables of docs/accuracy.md anew, some ten minutes"
	@echo "make vectors  make the operator vectors anew"
	@echo "make stimuli  choose the pictures of examples/stimuli anew"
	@echo "make model    quantize the shipped checkpoint and make its golden file anew"
	@echo "make train    train the shipped checkpoints anew, and measure them"
	@echo "make locked   renew the hashes of what make demo and make test install"
	@echo "make clean    remove .venv, caches and results"

demo: $(VENV)/.core
	$(BIN)/intsim demo

# Collected in one order in every process, so that pytest-xdist can share the tests among the processors.
test: $(VENV)/.test
	$(BIN)/python -m pytest -n auto --dist worksteal
	$(BIN)/python -m pytest -q -k "thread or concurrent or caller"  # in one process, with all processors for the kernels

# The inner loop: vectors, operators at their doors, the graph, plans, the rooms, one run of the main commands.
QUICK := tests/test_vectors.py tests/test_ops_door.py tests/test_graph.py tests/test_plan.py tests/test_trace.py tests/test_rooms.py
QUICKLY := "not mutant and not page and not random_graphs"
quick: $(VENV)/.test
	$(BIN)/python -m pytest -q -n auto --dist worksteal $(QUICK) -k $(QUICKLY)

# The tests with other versions: the inner loop, or all of them with TESTS=.
TESTS ?= $(QUICK) -k $(QUICKLY)

# Each in an environment of its own in build/pythons.
pythons: $(VENV)/bin/python
	$(BIN)/python tools/pythons.py build/pythons -n auto --dist worksteal $(TESTS)

# All instruction sets of this machine in one process, with every minor release of Numba; without attention, most of the compiling.
numbas: $(VENV)/bin/python
	$(BIN)/python tools/numbas.py build/numbas tests/test_kernels.py -k "product or sum or looked_up"

lowest: $(VENV)/bin/python
	rm -rf build/lowest && mkdir -p build/lowest
	$(BIN)/python tools/lowest.py test > build/lowest/constraints.txt
	$(PYTHON) -m venv build/lowest/venv
	build/lowest/venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint build/lowest/constraints.txt \
	    --editable '.[test]'
	build/lowest/venv/bin/python -m pytest -q -p no:cacheprovider -n auto --dist worksteal $(TESTS)

# Both implementations of every operator on many calls that Hypothesis finds.
properties: $(VENV)/.test
	EXAMPLES=$${EXAMPLES:-500} $(BIN)/python -m pytest -n auto --dist worksteal tests/test_testing.py tests/test_plan.py \
	    -k "both_implementations or random_graphs"

# Damaged files of every kind through the commands, for a quarter of an hour; FUZZ="--cases 1000000 --seconds 1e9" for more.
FUZZ ?= --seconds 900
fuzz: $(VENV)/.dev
	$(BIN)/python tools/fuzz.py $(FUZZ)

torch: $(VENV)/.train
	$(BIN)/python -m pytest -n auto --dist worksteal tests/test_qat.py tests/test_torch.py tests/test_transformers.py

# Golden sets on a Dask cluster of processes, one of which is killed, and through submitit's local executor.
clusters: $(VENV)/.clusters
	$(BIN)/python -m pytest -q tests/test_clusters.py

# Prints what the simulations say, and fails where that is not what examples/rtl/README.md shows.
rtl: $(VENV)/.rtl | iverilog
	$(BIN)/python -m pytest tests/test_rtl.py tests/test_export.py -k "rtl or verilog"
	$(BIN)/python tools/run_docs.py --check --show examples/rtl/README.md

iverilog:
	@command -v iverilog > /dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null && \
	    apt-get update -qq && apt-get install -y -qq iverilog > /dev/null; } || \
	    { echo "make rtl needs Icarus Verilog; install the package iverilog of your system" >&2; exit 2; }

# One HTML file, in build/teaching; axe-core, which checks that everyone can use it, is only installed for the tests.
AXE := axe-core@4.10.2
page: $(VENV)/.page | chromium
	$(BIN)/python tools/teaching_page.py
	@test -d build/page/node_modules/axe-core || npm install --silent --no-save --prefix build/page $(AXE) > /dev/null 2>&1 || \
	    echo "npm cannot install $(AXE): its rules of access are not checked" >&2
	$(BIN)/python -m pytest -q tests/test_teaching_page.py

chromium:
	@{ command -v chromium && command -v chromedriver; } > /dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null && \
	    apt-get update -qq && \
	    apt-get install -y -qq chromium chromium-driver $$(command -v npm > /dev/null || echo npm) > /dev/null; } || \
	    { echo "make page needs Chromium and its driver; install the packages chromium and chromium-driver of your system" >&2; exit 2; }

lint: $(VENV)/.dev $(VENV)/.test  # types of pytest, Hypothesis and ONNX are read, too
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/codespell
	$(BIN)/mypy
	$(BIN)/mypy --strict examples/typed_client.py
	$(BIN)/lint-imports
	$(BIN)/python tools/make_stubs.py --check
	$(BIN)/python tools/arithmetic_page.py --check

# What is derived from the operators: the stub that type checkers read, the operators' part of docs/arithmetic.md, its pictures.
generated: $(VENV)/.dev
	$(BIN)/python tools/make_stubs.py
	$(BIN)/python tools/arithmetic_page.py

# A user's installation: no checkout in reach, another folder, another environment.
wheel: $(VENV)/.dev
	rm -rf build/wheel
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir build/wheel .
	$(PYTHON) -m venv build/wheel/venv
	build/wheel/venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt build/wheel/*.whl
	cd build/wheel && venv/bin/intsim demo -o results

# The operator tests with the compiler switched off, so that the lines of kernels count as covered where they ran.
coverage jit-off: $(VENV)/.test
	NUMBA_DISABLE_JIT=1 $(BIN)/python -m pytest -q -n auto tests/test_arith.py tests/test_vectors.py \
	    tests/test_ops_door.py -k "not mutant" \
	    --cov=intsim.arith --cov=intsim.ops --cov-report=term --cov-precision=2 --cov-fail-under=90

# What must work where Numba is missing; tests marked `kernels` are skipped there, and counted.
WITHOUT_NUMBA := arith vectors ops_door dialects graph plan trace symbols compare without_numba
without-numba: build/without-numba/.done
	build/without-numba/bin/python -m pytest -q -n auto -p no:cacheprovider $(WITHOUT_NUMBA:%=tests/test_%.py) -k "not mutant"
	build/without-numba/bin/intsim demo -o build/without-numba/out

# The dependencies in pyproject.toml but Numba.
build/without-numba/.done: pyproject.toml constraints.txt
	rm -rf build/without-numba
	$(PYTHON) -m venv build/without-numba
	build/without-numba/bin/python -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
	    print(*(d for d in p['dependencies'] + p['optional-dependencies']['testing'] if not d.startswith('numba')), sep='\n')" \
	    > build/without-numba/requirements.txt
	build/without-numba/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
	    --requirement build/without-numba/requirements.txt pytest pytest-xdist
	build/without-numba/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

bits32: $(VENV)/.core
	$(BIN)/python tools/bits32.py build/bits32

# COMPILERS names what is installed; tests of what is not are skipped, and say so.
compilers: build/compilers/.done
	build/compilers/bin/python -m pytest -q -p no:cacheprovider tests/test_runtimes.py
	-build/compilers/bin/python -m intsim compilers --cases 6  # exit code 1: some compute something else

# The quick ones of them, a minute and a half.
runtimes: build/runtimes/.done
	build/runtimes/bin/python -m pytest -q -p no:cacheprovider tests/test_runtimes.py -k "tosa or block or deit or deployment"

build/runtimes/.done: COMPILERS := $(filter apache-tvm% tosa-tools%,$(COMPILERS))
build/compilers/.done build/runtimes/.done: %/.done: pyproject.toml Makefile
	rm -rf $*
	$(PYTHON) -m venv $*
	$*/bin/python -m pip install --quiet --disable-pip-version-check '.[test]' $(COMPILERS)
	@touch $@

# As root on Debian it installs what it needs; what is missing all the same is skipped, and said.
cross: $(VENV)/.test
	-@[ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null && apt-get update -qq && apt-get install -y -qq clang libclang-rt-dev qemu-user \
	    gcc-aarch64-linux-gnu gcc-arm-linux-gnueabihf gcc-s390x-linux-gnu libc6-dev-arm64-cross libc6-dev-armhf-cross \
	    libc6-dev-s390x-cross > /dev/null
	$(BIN)/python tools/cross.py
	INTSIM_C_CALLS=1000000 $(BIN)/python -m pytest -q tests/test_c.py -k many_rows

dpi: $(VENV)/.core
	@command -v verilator > /dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq verilator > /dev/null; } || \
	    { echo "make dpi needs Verilator 5; install the package verilator of your system" >&2; exit 2; }
	sh examples/dpi/run.sh $(BIN)/intsim build/dpi

formal: $(VENV)/.core
	@command -v yosys > /dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq yosys > /dev/null; } || \
	    { echo "make formal needs yosys; install the package yosys of your system" >&2; exit 2; }
	sh examples/rtl/formal/prove.sh $(BIN)/intsim build/formal

docs: $(VENV)/.test
	$(BIN)/python tools/run_docs.py

# Warnings are errors. Nothing is fetched: links to other sites are not followed.
site: $(VENV)/.docs
	rm -rf build/site
	$(BIN)/python tools/teaching_page.py -o build/pages/teach/index.html
	$(BIN)/sphinx-build -q -W --keep-going docs build/site
	$(BIN)/python tools/check_site.py build/site

# The baselines are checked before they are timed; those in OpenVINO by tests that run only here.
bench: $(VENV)/.bench $(VENV)/.test
	$(BIN)/python -m pytest -q tests/test_bench.py
	$(BIN)/python tools/run_docs.py docs/performance.md

accuracy: $(VENV)/.core
	$(BIN)/python tools/run_docs.py docs/accuracy.md

vectors: $(VENV)/.test
	$(BIN)/python tools/make_op_vectors.py

# Made pictures that show most of what the golden file's picture does not.
stimuli: $(VENV)/.core
	rm -f examples/stimuli/*.png
	$(BIN)/intsim score golden/scenes.h5 --search 40 --keep 6 --pictures examples/stimuli

model: $(VENV)/.core
	$(BIN)/intsim quantize weights/scenes.safetensors --config weights/scenes.json \
	    --calibrate examples/scenes/calibration.png -o weights/scenes.h5
	$(BIN)/intsim golden examples/scenes/scene_00.png -m weights/scenes.h5 -o golden/scenes.h5 $(LEFT_OUT:%=--layers '!%')

train: $(VENV)/.train
	$(BIN)/python tools/train_scenes.py
	$(MAKE) model
	$(BIN)/python tools/evaluate_scenes.py
	$(BIN)/python tools/train_l2.py

clean:
	rm -rf $(VENV) build dist out .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "intsim needs Python 3.11 or newer; try: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

# With the hashes in locked/ where they fit this Python and system, and by constraints.txt alone elsewhere.
$(VENV)/.core $(VENV)/.test: $(VENV)/.%: pyproject.toml constraints.txt locked/%.txt | $(VENV)/bin/python
	@if $(BIN)/python tools/locked.py --covers; then \
	    $(PIP) --require-hashes --only-binary :all: --requirement locked/$*.txt && \
	    $(PIP) --no-index --no-deps --no-build-isolation --editable .; \
	else $(PIP) --editable '.$(if $(filter test,$*),[test])'; fi
	@touch $@

# The hashes anew, after a change of pyproject.toml or constraints.txt.
locked: $(VENV)/bin/python
	$(BIN)/python tools/locked.py

$(VENV)/.dev $(VENV)/.docs $(VENV)/.train $(VENV)/.bench $(VENV)/.rtl $(VENV)/.page $(VENV)/.clusters: $(VENV)/.%: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable '.[$*]'
	@touch $@
