# `make demo` and `make test` do their own set-up; the other targets are their parts.
# Everything is installed below this folder: packages in .venv, test servers in .servers.

UV_VERSION := 0.13.8
COMPOSE := github.com/docker/compose/v5/cmd@v5.0.2
BROWSERS := chromium chromium-browser google-chrome
PYTHONS := python3.13 python3.12 python3.11 python3
BIN := .venv/bin
SHELL := /bin/bash

.PHONY: help setup servers peers foreign demo quick test nightly faults lint coverage profile
.PHONY: bench-check hooks docs picture clean

help:
	@echo "make demo         play an hour of real LLM traffic with known faults, show what is found"
	@echo "make quick        run the tests that need no server: about two minutes"
	@echo "make test         run all tests, also on a real Kafka and Elasticsearch: 15 minutes"
	@echo "make nightly      run what takes too long for every change: tests of benchmarks, long"
	@echo "                  faults, mutations, fuzzing, a soak"
	@echo "make faults       run all fault tests in their long form: about an hour"
	@echo "make lint         ruff, mypy, layers between packages, purity, widths, words"
	@echo "make hooks        install the checks that git runs before each commit (pre-commit)"
	@echo "make coverage     show how much of each package the quick tests run"
	@echo "make profile      write profile.svg, a flame graph of a worker on a backlog"
	@echo "make bench-check  compare the throughput of this tree with main: ratio and spread"
	@echo "make setup        create the environment in .venv"
	@echo "make servers      install the servers that tests run, in .servers"
	@echo "make peers        install the engines that benchmarks.peers compares with"
	@echo "make foreign      install the clients that benchmarks.foreign sends with"
	@echo "make docs         write docs/settings.md from the source"
	@echo "make picture      write docs/images/now.png, the page in the tests' browser"

setup: .venv/.synced schemas/native/native.so topology/page/static/vendor/.fetched

.venv/bin/python:
	@echo "sentinel: creates .venv"
	@for python in $(PYTHONS); do \
	  if $$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	    2>/dev/null; then \
	    $$python -m venv .venv && exit 0; \
	    rm -rf .venv; \
	    echo "sentinel: $$python cannot create an environment;" \
	      "on Debian and Ubuntu: apt install python3-venv"; exit 1; \
	  fi; \
	done; \
	echo "sentinel: needs Python 3.11, 3.12 or 3.13 with venv; found none of $(PYTHONS)"; exit 1

# Byte code is compiled here, so that the first start is as fast as later ones, even where
# PYTHONDONTWRITEBYTECODE is set.
.venv/.synced: .venv/bin/python pyproject.toml hatch_build.py uv.lock
	@echo "sentinel: installs packages into .venv; this takes a minute or two the first time"
	@$(BIN)/python -m pip install -q --disable-pip-version-check uv==$(UV_VERSION) || \
	  { echo "sentinel: pip cannot install uv $(UV_VERSION);" \
	      "it needs a package index (see pip config)"; exit 1; }
	@VIRTUAL_ENV="$(CURDIR)/.venv" $(BIN)/uv sync -q --active --locked --compile-bytecode
	@$(BIN)/python -m compileall -q schemas streams agents connectors topology
	@touch $@

# The native code. uv's build compiles it too, but not again when only the source has changed.
# Without a C compiler records are decoded more slowly, and series are not judged.
NATIVE := schemas/native/native.so
JUDGE := agents/detectors/deviation/judge
$(NATIVE): schemas/native/native.c $(JUDGE).c schemas/native/building.py | .venv/.synced
	@echo "sentinel: compiles the native code"
	@$(BIN)/python schemas/native/building.py || \
	  echo "sentinel: records are decoded without it, at a fraction of the speed," \
	    "and series are not judged;" \
	    "install a C compiler (on Debian and Ubuntu: apt install gcc libc6-dev)"

# The page's charts. Without npm everything else works, and the page shows tables instead of charts.
topology/page/static/vendor/.fetched: topology/page/package.json topology/page/package-lock.json
	@if ! command -v npm >/dev/null; then \
	  echo "sentinel: there is no npm, so the page shows tables instead of charts;" \
	    "on Debian: apt install npm, then run make setup again"; \
	elif ! (cd topology/page && \
	  npm ci -s --ignore-scripts --no-audit --no-fund >node_modules.log 2>&1); then \
	  echo "sentinel: npm could not fetch uPlot, so the page shows tables instead of charts;" \
	    "run make setup again when this is fixed:"; \
	  tail -n 3 topology/page/node_modules.log; rm -f topology/page/node_modules.log; \
	else \
	  rm -f topology/page/node_modules.log; mkdir -p $(@D); \
	  cp topology/page/node_modules/uplot/dist/uPlot.esm.js \
	    topology/page/node_modules/uplot/dist/uPlot.min.css $(@D); \
	  cp topology/page/node_modules/uplot/LICENSE $(@D)/uPlot.LICENSE.txt; \
	  touch $@; \
	fi

servers: .servers/browser .servers/promtool .servers/axe/.fetched .servers/kafka/.fetched \
  .servers/elasticsearch/.fetched $(if $(shell command -v go),.servers/compose/docker-compose)

.servers/kafka/.fetched: tests/harness/servers/pom.xml
	@command -v java >/dev/null || \
	  { echo "sentinel: tests run a real Kafka and need Java 17 or newer;" \
	      "on Debian: apt install default-jre-headless"; exit 1; }
	@java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | \
	  { read -r major; [ "$${major:-0}" -ge 17 ]; } || \
	  { echo "sentinel: tests run a real Kafka and need Java 17 or newer;" \
	      "this one is $$(java -version 2>&1 | head -1)"; exit 1; }
	@command -v mvn >/dev/null || \
	  { echo "sentinel: Kafka's jars are fetched with Maven; on Debian: apt install maven"; exit 1; }
	@rm -rf .servers/kafka/libs
	@mvn -q -B -Dstyle.color=never -f tests/harness/servers/pom.xml dependency:copy-dependencies \
	  -DincludeScope=runtime -DoutputDirectory="$(CURDIR)/.servers/kafka/libs"
	@touch $@

.servers/elasticsearch/.fetched: tests/harness/servers/elasticsearch.xml
	@command -v mvn >/dev/null || \
	  { echo "sentinel: Elasticsearch is fetched with Maven; on Debian: apt install maven"; exit 1; }
	@rm -rf .servers/elasticsearch
	@mvn -q -B -Dstyle.color=never -f tests/harness/servers/elasticsearch.xml \
	  dependency:unpack-dependencies \
	  -DoutputDirectory="$(CURDIR)/.servers/elasticsearch" \
	  -DmarkersDirectory="$(CURDIR)/.servers/elasticsearch/markers"
	@chmod 755 .servers/elasticsearch/*/bin/*
	@touch $@

# Checked each time: a browser is installed in the system, not in this folder.
.PHONY: .servers/browser
.servers/browser:
	@for browser in $(BROWSERS); do command -v $$browser >/dev/null && exit 0; done; \
	if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	  (apt-get update -q && \
	    apt-get install -q -y --no-install-recommends chromium fonts-dejavu-core) >/dev/null 2>&1 || \
	    { echo "sentinel: apt-get cannot install chromium, which the tests of the page need"; \
	      exit 1; }; \
	else \
	  echo "sentinel: the tests of the page need a browser; on Debian: apt install chromium"; \
	fi

# Unpacked, not installed: installing the package would start a Prometheus.
.servers/promtool:
	@if command -v promtool >/dev/null; then \
	  mkdir -p .servers && ln -sf "$$(command -v promtool)" $@; \
	elif command -v apt-get >/dev/null && command -v dpkg >/dev/null; then \
	  mkdir -p .servers && folder=$$(mktemp -d) && \
	  { [ "$$(id -u)" != 0 ] || apt-get update -q >/dev/null 2>&1; } && \
	  (cd $$folder && apt-get download -q prometheus >/dev/null 2>&1 && \
	    dpkg -x prometheus_*.deb . && mv usr/bin/promtool "$(CURDIR)/$@") || \
	    { echo "sentinel: apt-get cannot download prometheus; the tests of the alarms need its" \
	        "promtool"; rm -rf $$folder; exit 1; }; \
	  rm -rf $$folder; \
	else \
	  echo "sentinel: the tests of the alarms need promtool, which comes with Prometheus"; \
	fi

.servers/axe/.fetched: tests/page/package.json tests/page/package-lock.json
	@command -v npm >/dev/null || \
	  { echo "sentinel: the tests of the page fetch axe-core with npm; on Debian: apt install npm"; \
	    exit 1; }
	@mkdir -p $(@D) && cp tests/page/package.json tests/page/package-lock.json $(@D)
	@cd $(@D) && npm ci -s --ignore-scripts --no-audit --no-fund
	@touch $@

# Compose's own parser, where Go can build it. Without it, a test of docker-compose.yml is skipped.
.servers/compose/docker-compose:
	@mkdir -p $(@D)
	@GOBIN="$(CURDIR)/$(@D)" GOFLAGS=-trimpath CGO_ENABLED=0 \
	  go install -ldflags="-s -w" $(COMPOSE) >$(@D)/log 2>&1 && mv $(@D)/cmd $@ || \
	  echo "sentinel: $(COMPOSE) was not built ($(@D)/log); the test that needs it is skipped"

# The engines of benchmarks.peers, each in an environment of its own. No test needs them.
PEERS := benchmarks/peers/engines
PYTHON_PEERS := quix bytewax faust

peers: $(PYTHON_PEERS:%=.servers/peers/%/.installed) .servers/peers/kafka_streams/.built

.servers/peers/%/.installed: $(PEERS)/%.txt | .venv/.synced
	@rm -rf $(@D)
	@$(BIN)/uv venv -q --python "$$(readlink -f $(BIN)/python)" $(@D) && \
	  VIRTUAL_ENV="$(CURDIR)/$(@D)" $(BIN)/uv pip install -q --no-deps -r $< || \
	  { echo "sentinel: $* cannot be installed for $$($(BIN)/python -V);" \
	      "leave it out with --engines"; exit 1; }
	@touch $@

.servers/peers/kafka_streams/.built: \
  $(PEERS)/kafka_streams/pom.xml $(PEERS)/kafka_streams/Engine.java
	@command -v mvn >/dev/null && command -v javac >/dev/null || \
	  { echo "sentinel: Kafka Streams needs Maven and a Java compiler;" \
	      "on Debian: apt install maven default-jdk-headless"; exit 1; }
	@rm -rf $(@D) && mkdir -p $(@D)/classes
	@mvn -q -B -Dstyle.color=never -f $< dependency:copy-dependencies -DincludeScope=runtime \
	  -DoutputDirectory="$(CURDIR)/$(@D)/libs"
	@javac -cp "$(@D)/libs/*" -d $(@D)/classes $(PEERS)/kafka_streams/Engine.java
	@touch $@

# The clients of benchmarks.foreign, each with its own libraries. No test needs them.
FOREIGN := benchmarks/foreign_run/producers

foreign: .servers/foreign/java/.built .servers/foreign/sarama/sender \
  .servers/foreign/kafkajs/.installed .servers/foreign/kafka_python/.installed

.servers/foreign/java/.built: $(FOREIGN)/java/pom.xml $(FOREIGN)/java/Sender.java
	@command -v mvn >/dev/null && command -v javac >/dev/null || \
	  { echo "sentinel: Kafka's Java client needs Maven and a Java compiler;" \
	      "on Debian: apt install maven default-jdk-headless"; exit 1; }
	@rm -rf $(@D) && mkdir -p $(@D)/classes
	@mvn -q -B -Dstyle.color=never -f $< dependency:copy-dependencies -DincludeScope=runtime \
	  -DoutputDirectory="$(CURDIR)/$(@D)/libs"
	@javac -cp "$(@D)/libs/*" -d $(@D)/classes $(FOREIGN)/java/Sender.java
	@touch $@

.servers/foreign/sarama/sender: \
  $(FOREIGN)/sarama/main.go $(FOREIGN)/sarama/go.mod $(FOREIGN)/sarama/go.sum
	@command -v go >/dev/null || \
	  { echo "sentinel: Sarama needs Go; on Debian: apt install golang-go"; exit 1; }
	@cd $(FOREIGN)/sarama && CGO_ENABLED=0 go build -o "$(CURDIR)/$@" .

.servers/foreign/kafkajs/.installed: $(addprefix $(FOREIGN)/kafkajs/,\
  package.json package-lock.json sender.js)
	@command -v npm >/dev/null || \
	  { echo "sentinel: KafkaJS needs Node.js and npm; on Debian: apt install npm"; exit 1; }
	@rm -rf $(@D) && mkdir -p $(@D) && cp $^ $(@D)
	@cd $(@D) && npm ci -s --ignore-scripts --no-audit --no-fund
	@touch $@

.servers/foreign/kafka_python/.installed: $(FOREIGN)/kafka_python.txt | .venv/.synced
	@rm -rf $(@D)
	@$(BIN)/uv venv -q --python "$$(readlink -f $(BIN)/python)" $(@D) && \
	  VIRTUAL_ENV="$(CURDIR)/$(@D)" $(BIN)/uv pip install -q -r $<
	@touch $@

demo: setup
	@if [ -t 1 ]; then exec $(BIN)/sentinel demo; else exec $(BIN)/sentinel demo --exit-when-done; fi

# Needs no servers: none of these tests runs one.
quick: setup
	$(BIN)/pytest -n 2 --dist loadfile -m "not system and not nightly" --hypothesis-profile=quick

# More than the two cores that are expected: most system tests wait for servers. The tests of a file
# run in one process.
TESTS_AT_ONCE := 4

test: setup servers
	$(BIN)/pytest -n $(TESTS_AT_ONCE) --dist loadfile

nightly: setup servers
	$(BIN)/pytest -n 2 --dist loadfile -m nightly
	$(BIN)/pytest -n 2 --dist loadfile -m "not system and not nightly" --hypothesis-profile=nightly
	$(BIN)/python -m tests.mutation
	$(BIN)/python -m tests.faults --long
	$(BIN)/python -m tests.fuzz --long
	$(BIN)/python -m benchmarks.soak

faults: setup servers
	$(BIN)/python -m tests.faults --long

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q tests/layers

# Coverage of the quick tests with branches, a line for each package. There is no gate: it is for
# reading.
coverage: setup
	$(BIN)/pytest -n 2 --dist loadfile -m "not system and not nightly" -q \
	  --cov --cov-branch --cov-report=
	@for package in schemas streams agents connectors topology; do \
	  printf '%-12s' $$package; $(BIN)/coverage report --include="$$package/*" | tail -n 1; \
	done

profile: setup servers
	$(BIN)/python -m benchmarks.profile

bench-check: setup servers
	$(BIN)/python -m benchmarks.check --json

hooks: setup
	$(BIN)/pre-commit install

docs: setup
	$(BIN)/python -m topology.settings.reference > docs/settings.md

picture: setup servers
	SENTINEL_PICTURE=1 $(BIN)/pytest -q tests/page/test_picture.py

clean:
	rm -rf topology/page/node_modules topology/page/static/vendor \
	  $(NATIVE) $(JUDGE).so
	rm -rf .venv .servers .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
