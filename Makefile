# Each target installs what it needs and says so; the second time that takes no time.  `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

newest_enough = for python in $(1); do \
    "$$python" -c 'import sys; sys.exit(sys.version_info < $(2))' 2>/dev/null && echo "$$python" && break; done
# python3 where it is new enough. For the second environment 3.13, which is Debian 13's, where there is one.
PYTHON = $(shell $(call newest_enough,python3 python3.13 python3.12 python3.11,(3$(comma) 11)))
PYTHON13 = $(or $(shell $(call newest_enough,python3.13 $(wildcard $(HOME)/.pyenv/versions/3.13*/bin/python),(3$(comma) 13))),$(PYTHON))
comma := ,
VERSION = $(shell sed -nE 's/^__version__ = "(.*)"/\1/p' nuki_bridge/__init__.py)
NACL = nuki_bridge/web/page/vendor/nacl-fast.js
DEB = build/nuki-bridge_$(VERSION)_all.deb

.PHONY: help run check unit coverage test vm bench lint deb install uninstall deps clean packages-interpreter packages-python \
    packages-broker packages-bluez packages-systemd packages-vm packages-deb packages-lintian packages-debian

help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/make \1\t\2/p' Makefile | expand -t 28

run: .venv/.program $(NACL) packages-broker ## the demo: a private broker, a virtual lock, the daemon and the phone page, until Ctrl-C
	@.venv/bin/nuki-bridge demo

check: .venv/.complete $(NACL) ## lint and unit tests side by side: a minute or two on two cores, no root, no broker
	@$(MAKE) -j 2 lint unit

# What Python and pytest have compiled is kept, also where the environment says otherwise: else each process of each run
# compiles all of it anew, which takes longer than a tenth of the tests.
unit coverage: export PYTHONDONTWRITEBYTECODE =
unit coverage: export PYTHONPYCACHEPREFIX = $(CURDIR)/build/pycache
unit: export PYTEST_DEBUG_TEMPROOT = $(wildcard /dev/shm)
unit: .venv/.complete $(NACL) ## unit tests in a process for each core, but for the long ones, which `make test` runs, too
	@.venv/bin/python -m pytest -q -n auto -m 'not long' tests/unit

coverage: export PYTEST_DEBUG_TEMPROOT = $(wildcard /dev/shm)
coverage: .venv/.complete $(NACL) ## which lines and branches of the program all unit tests run; a page of each file in build/coverage
	@.venv/bin/python -m pytest -q -n auto --cov --cov-report=term:skip-covered --cov-report=html tests/unit

test: deps $(NACL) ## everything: lint, unit and integration tests, the Debian package, virtual machines, with both sets of dependencies
	@.ci/test lint unit package integration vm

vm: deps ## only the virtual machines with a real bluetoothd
	@.ci/test vm

.PHONY: faults
faults: .venv/.complete ## random schedules of faults by the thousand, judged by the lock's own record; COUNT=..., SEED=... shows one, HOUSE=1 the whole bridge
	@.venv/bin/python -m tests.faults $(if $(HOUSE),--house) $(if $(SEED),--seed $(SEED)) $(if $(COUNT),--count $(COUNT))

.PHONY: test-system test-page test-debian test-home-assistant test-node-red test-nuki-sesami test-bridge-clients packages-node packages-browsers
test-system: .venv/.complete packages-broker packages-browsers packages-deb packages-debian .cache/node-red/.complete .cache/page/.complete .venv-nuki-sesami/.complete .venv-pynuki/.complete $(NACL) ## with real programs of others
	@.ci/test page debian node-red nuki-sesami bridge-clients home-assistant

test-page: .venv/.complete packages-broker packages-browsers .cache/page/.complete $(NACL) ## the phone page in real browsers, with a real broker
	@.ci/test page

.PHONY: picture
picture: .venv/.complete packages-broker packages-browsers $(NACL) ## take the README's picture of the phone page anew, docs/page.webp
	@.venv/bin/python -m tests.page.picture

test-debian: .venv/.complete packages-deb packages-debian ## the package on Debian 13 in a virtual machine, from its installation to its purge
	@.ci/test debian

test-home-assistant: .venv/.complete packages-broker packages-debian ## a real Home Assistant on Debian 13 finds and drives a virtual lock
	@.ci/test home-assistant

test-node-red: .venv/.complete packages-broker .cache/node-red/.complete ## the flow in a real Node-RED; docs/asyncapi.yaml in its official parser
	@.ci/test node-red

test-nuki-sesami: .venv/.complete packages-broker .venv-nuki-sesami/.complete ## a real program that speaks Nuki's MQTT API drives a lock that the bridge serves
	@.ci/test nuki-sesami

test-bridge-clients: .venv/.complete .venv-pynuki/.complete packages-broker .cache/node-red/.complete $(NACL) ## programs that speak to a Nuki Bridge: pynuki, nuki-bridge-api, hb-nb-tools
	@.ci/test bridge-clients

bench: deps packages-browsers $(NACL) ## measure latency, processor time and memory in a virtual machine, and the phone page here
	@.venv/bin/python -m tests.bench

.PHONY: docs
docs: .venv/.complete ## write what the requests' declarations say into docs/requests.md and docs/asyncapi.yaml
	@.venv/bin/python -m tests.request_docs

.PHONY: fuzz
fuzz: .venv-fuzz/.complete ## inputs of strangers, mutated by the million; FUZZ_SECONDS=60 for each target, FUZZ="frames config" only those
	@.venv-fuzz/bin/python -m tests.fuzz --seconds $(or $(FUZZ_SECONDS),60) $(FUZZ)

lint: .venv/.complete ## ruff and mypy
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy

# The newest package in build/ is the one that was asked for last.
deb: $(DEB) ## the Debian package; VERSION=... gives it another version than the program's
	@touch $(DEB)
	@echo $(DEB)

.PHONY: dist repo release
dist: .venv-build/.complete $(NACL) ## a source archive and a wheel, as PyPI and pipx take them, in build/dist
	@.ci/dist .venv-build/bin/python build/dist

repo: $(DEB) packages-repo ## an apt repository with the package in build/repo, signed: KEY=... is what gpg calls your key
	@.ci/repo '$(KEY)' build/repo $(DEB)

release: .venv-build/.complete $(NACL) packages-deb ## package, source archive, wheel, checksums and notes, from a clean checkout of the tag v$(VERSION)
	@.ci/release '$(VERSION)' .venv-build/bin/python

# The service cannot see into anybody's home, where other Pythons may live.
install uninstall: PYTHON = $(shell $(call newest_enough,/usr/bin/python3 python3 python3.13 python3.12 python3.11,(3$(comma) 11)))
install: packages-python packages-bluez $(NACL) ## program and service on systems without the Debian package; as root
	@PYTHON='$(PYTHON)' systemd/install.sh install

uninstall: ## takes away what install has put there, but configuration and paired locks
	@systemd/install.sh uninstall

deps: .venv/.complete .venv-build/.complete .venv-debian13/.complete .venv-pynukibt/.complete packages-broker packages-systemd packages-vm packages-repo packages-lintian ## only what the other targets install

clean: ## remove everything that make has made here
	rm -rf .venv .venv-build .venv-debian13 .venv-pynukibt .venv-nuki-sesami .venv-pynuki .venv-fuzz .cache build bench.json .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info

# The folders are among them, because their time changes when a file is gone.
$(DEB): .ci/deb CHANGELOG.md CONTRIBUTING.md LICENSE README.md pyproject.toml setup.cfg \
        $(shell find completions debian docs/. etc nuki_bridge systemd -not -name '*.pyc' -not -name __pycache__) $(NACL) | packages-deb
	@.ci/deb '$(VERSION)'

# -- virtual environments; a stamp says what is inside ----------------------------------------------------------------

# $(call venv,DIRECTORY,PYTHON,WHAT PIP INSTALLS)
define venv
	@$(1)/bin/python -m pip --version >/dev/null 2>&1 || { \
	    echo "== making $(1) with $(2)"; $(2) -m venv --clear $(1); }
	@echo "== installing into $(1)"
	@$(1)/bin/python -m pip install -q --disable-pip-version-check $(3) || { \
	    echo "pip could not install what $(1) needs (see above). Without a network? Once $(1) is complete none is needed." >&2; \
	    exit 1; }
endef

.venv/.program: setup.cfg pyproject.toml | packages-python
	$(call venv,.venv,$(PYTHON),-e .)
	@touch $@

.venv/.complete: setup.cfg pyproject.toml | packages-python
	$(call venv,.venv,$(PYTHON),-e '.[test$(comma)dev$(comma)systemd]')
	@touch .venv/.program $@

.venv-debian13/.complete: setup.cfg pyproject.toml tests/requirements-debian13.txt | packages-python
	$(call venv,.venv-debian13,$(PYTHON13),-r tests/requirements-debian13.txt -e '.[test$(comma)systemd]')
	@touch $@

.venv-build/.complete: | packages-python
	$(call venv,.venv-build,$(PYTHON),build pipx)
	@touch $@

.venv-pynukibt/.complete: tests/requirements-pynukibt.txt | packages-python
	$(call venv,.venv-pynukibt,$(PYTHON),-r tests/requirements-pynukibt.txt)
	@touch $@

.venv-nuki-sesami/.complete: tests/requirements-nuki-sesami.txt | packages-python
	$(call venv,.venv-nuki-sesami,$(PYTHON),-r tests/requirements-nuki-sesami.txt)
	@touch $@

.venv-pynuki/.complete: tests/requirements-pynuki.txt | packages-python
	$(call venv,.venv-pynuki,$(PYTHON),-r tests/requirements-pynuki.txt)
	@touch $@

.venv-fuzz/.complete: setup.cfg pyproject.toml tests/requirements-fuzz.txt | packages-python
	$(call venv,.venv-fuzz,$(PYTHON),-r tests/requirements-fuzz.txt -e .)
	@touch $@

# -- the page's cryptography, which is no part of these sources ------------------------------------------------------

.PHONY: nacl
nacl: $(NACL) ## fetch tweetnacl's nacl-fast.js for the phone page, from Debian or npm, by its SHA-256

$(NACL): .ci/nacl
	@.ci/nacl $@

# -- programs from npm, in the versions that package.json there names -------------------------------------------------

.cache/node-red/.complete: tests/system/package.json | packages-node
	@echo "== installing into .cache/node-red"
	@rm -rf .cache/node-red && mkdir -p .cache/node-red && cp $< .cache/node-red
	@npm install --prefix .cache/node-red --no-audit --no-fund --no-package-lock --ignore-scripts --loglevel=error >/dev/null || { \
	    echo "npm could not install what .cache/node-red needs (see above)" >&2; exit 1; }
	@touch $@

.cache/page/.complete: tests/page/package.json | packages-node
	@echo "== installing into .cache/page"
	@rm -rf .cache/page && mkdir -p .cache/page && cp $< .cache/page
	@npm install --prefix .cache/page --no-audit --no-fund --no-package-lock --ignore-scripts --loglevel=error >/dev/null || { \
	    echo "npm could not install what .cache/page needs (see above)" >&2; exit 1; }
	@touch $@

# -- packages of the system, installed only if what they bring is missing ---------------------------------------------

packages-interpreter:
	@[ -n "$(PYTHON)" ] || .ci/packages python3

packages-python: packages-interpreter
	@[ -n "$(PYTHON)" ] || { echo "nuki-bridge needs Python 3.11 or newer, and no python3 here is" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || .ci/packages $(notdir $(PYTHON))-venv
	@{ pkg-config --exists libsystemd && command -v gcc; } >/dev/null 2>&1 \
	    || .ci/packages gcc libc6-dev pkg-config libsystemd-dev
	@$(PYTHON) -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' \
	    || .ci/packages $(notdir $(PYTHON))-dev

packages-broker: export PATH := $(PATH):/usr/sbin
packages-broker:
	@for program in mosquitto mosquitto_pub; do command -v $$program >/dev/null \
	    || { .ci/packages mosquitto mosquitto-clients; break; }; done

packages-browsers:
	@for program in chromium chromedriver WebKitWebDriver Xvfb; do command -v $$program >/dev/null \
	    || { .ci/packages chromium chromium-driver webkit2gtk-driver xvfb; break; }; done

packages-debian: export PATH := $(PATH):/usr/sbin
packages-debian: packages-vm
	@for program in debootstrap qemu-aarch64-static; do command -v $$program >/dev/null \
	    || { .ci/packages debootstrap qemu-user-static; break; }; done

packages-systemd:
	@command -v systemd-analyze >/dev/null || .ci/packages systemd

packages-vm: export PATH := $(PATH):/usr/sbin
packages-vm:
	@for program in busybox bluetoothd dbus-daemon openssl qemu-system-x86_64 gcc flex bison bc xz; do \
	    command -v $$program >/dev/null || [ -x /usr/libexec/bluetooth/$$program ] \
	    || { .ci/packages busybox-static bluez dbus openssl qemu-system-x86 gcc libc6-dev flex bison bc xz-utils; break; }; done

packages-bluez:
	@[ -n "$(DESTDIR)" ] || [ -x /usr/libexec/bluetooth/bluetoothd ] || [ -x /usr/lib/bluetooth/bluetoothd ] \
	    || .ci/packages bluez

packages-deb:
	@.ci/packages debhelper dh-python dpkg-dev pybuild-plugin-pyproject python3 python3-setuptools

packages-repo: packages-deb
	@command -v gpg >/dev/null || .ci/packages gnupg

packages-lintian:
	@.ci/packages lintian

packages-node:
	@{ command -v node && command -v npm; } >/dev/null || .ci/packages nodejs npm
