# The front door: thin names for what CMakePresets.json and the scripts in tools/ do. On Debian every
# target installs the packages it needs first (tools/install-packages.sh); `make PACKAGES=no ...`
# leaves the system alone.

PRESET ?= dev
PREFIX ?= /usr/local
TESTS ?=
JOBS ?= $(shell nproc)
PACKAGES ?= yes
ROUNDS ?= 2000
SECONDS ?= 600
STEPS ?= 10000000
REAL_STEPS ?= 100000
SEED ?= 1

build := build/$(PRESET)
sources = $(shell find include src tests examples bench tools fuzz -name '*.cpp' -o -name '*.h')
packages = @PACKAGES=$(PACKAGES) tools/install-packages.sh

help:  ## list these targets
	@sed -n 's/^\([a-z-]*\):.*##  *\(.*\)/\1|\2/p' Makefile | awk -F'|' '{ printf "make %-14s %s\n", $$1, $$2 }'
	@echo
	@echo "Variables: PRESET=$(PRESET) TESTS=<regular expression> PREFIX=$(PREFIX) JOBS=$(JOBS)"

demo:  ## build the command line tool and let it show what it can do
	$(packages) build demo
	@$(MAKE) --no-print-directory build-tool
	build/tool/tools/weir/weir demo

test:  ## build all and run all tests of PRESET (dev); TESTS= selects by name
	$(packages) build test $(filter clang,$(PRESET))
	cmake --preset $(PRESET)
	cmake --build --preset $(PRESET) --parallel $(JOBS)
	rm -f $(build)/test-results/*
	ctest --preset $(PRESET) --parallel $(JOBS) $(if $(TESTS),--tests-regex '$(TESTS)')

asan:  ## the tests under the address and undefined-behaviour sanitizers
	@$(MAKE) --no-print-directory test PRESET=asan

tsan:  ## the tests under the thread sanitizer
	@$(MAKE) --no-print-directory test PRESET=tsan

clang:  ## the tests, compiled by Clang 16
	@$(MAKE) --no-print-directory test PRESET=clang

bench: build-bench  ## measure all, in about half an hour; see docs/performance.md
	python3 bench/run.py --json build/bench.json

bench-quick: build-bench  ## measure what tells most, in a few minutes
	python3 bench/run.py --quick --json build/bench-quick.json

soak:  ## use every transport thousands of times and look for leaks: ROUNDS=2000
	$(packages) build test
	cmake --preset $(PRESET)
	cmake --build --preset $(PRESET) --target weir_soak --parallel $(JOBS)
	$(build)/tests/weir_soak $(ROUNDS)

destroy: PRESET := $(if $(filter file,$(origin PRESET)),asan,$(PRESET))
destroy:  ## programs at random against the contract, under the sanitizers: STEPS=10000000 REAL_STEPS=100000 SEED=1
	$(packages) build test $(filter clang,$(PRESET))
	cmake --preset $(PRESET)
	cmake --build --preset $(PRESET) --target weir_destroyer --parallel $(JOBS)
	build/$(PRESET)/tests/weir_destroyer --backend simulated --seed $(SEED) --steps $(STEPS)
	build/$(PRESET)/tests/weir_destroyer --backend epoll --seed $(SEED) --steps $(REAL_STEPS)

fuzz:  ## fuzz with libFuzzer, each fuzzer for SECONDS=600 from its corpus; what it finds stays in build/fuzz
	$(packages) build clang
	cmake --preset fuzz
	cmake --build --preset fuzz --parallel $(JOBS)
	cd build/fuzz && for name in tls_engine tls_pair destroyer; do \
	  mkdir -p found/$$name; \
	  fuzz/weir_$${name}_fuzz -max_total_time=$(SECONDS) -timeout=20 -max_len=20000 -print_final_stats=1 \
	    -artifact_prefix=$$name- found/$$name $(CURDIR)/fuzz/corpus/$$name || exit; \
	done

mutants:  ## plant faults in the library, one at a time, and name those that no test notices: TESTS= selects
	$(packages) build test
	@mkdir -p build/mutants
	python3 tests/mutants/run.py build/mutants $(TESTS)

tidy:  ## clang-tidy over the library, the tool and the examples
	$(packages) build test clang lint
	cmake --preset clang
	run-clang-tidy-16 -quiet -p build/clang -j $(JOBS) '^$(CURDIR)/(src|tools|examples)/'

format:  ## rewrite all C++ files in the style of .clang-format
	$(packages) lint
	clang-format-16 -i $(sources)

format-check:  ## fail if `make format` would change something
	$(packages) lint
	@status=0; for file in $(sources); do \
	  clang-format-16 $$file | cmp -s - $$file || { echo "not formatted: $$file"; status=1; }; \
	done; exit $$status

install:  ## install the library, headers and tool under PREFIX
	$(packages) build
	@$(MAKE) --no-print-directory build-tool
	cmake --install build/tool --prefix $(PREFIX)

build-bench:
	$(packages) build test bench
	cmake --preset release
	cmake --build --preset release --target bench/all --parallel $(JOBS)

build-tool:
	cmake --preset tool
	cmake --build --preset tool --parallel $(JOBS)

clean:  ## remove build/
	rm -rf build

.DEFAULT_GOAL := help
.PHONY: help demo test asan tsan clang bench bench-quick soak destroy fuzz mutants tidy format format-check install build-bench build-tool clean
