# The few commands a user needs; `make` lists them.

PY := .venv/bin/python
STAMP := .venv/.installed
RUNS := runs
SAMPLE := $(RUNS)/data/sample
# Tests run in processes of one thread each, the default ones in three: much of their time is the start of others. The tests of a file share its fixtures; integration comes first.
# A process that dies ends the run with the name of its test (replaced, it leaves xdist waiting for ever), and so does one that hangs where no signal is heard.
PYTEST := OMP_NUM_THREADS=1 $(PY) -m pytest --dist loadscope --no-loadscope-reorder --max-worker-restart 0 -o faulthandler_timeout=1300 -o faulthandler_exit_on_timeout=true

.DEFAULT_GOAL := help
.PHONY: help setup sweep tables test test-all soak soak-groups soak-road soak-stack soak-autoscaler lint bench-loader bench-search bench-orchestration bench-driver mlflow check-cluster cluster cluster-stop stack stack-status stack-stop audit clean

help: ## list these commands
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## install everything into .venv (the others do this themselves)

# Written last, so that an interrupted installation is taken up again.
$(STAMP): pyproject.toml constraints.txt .ci/setup
	@bash .ci/setup
	@touch $@

sweep: $(STAMP) ## the main job: sample photographs -> study -> registered model -> report page
	@$(PY) pipelines/prepare_data.py --source sample --out $(SAMPLE)
	@$(PY) pipelines/sweep.py --space search_spaces/quick.py --data $(SAMPLE) --study quick --noise paper

tables: $(STAMP) ## the paper's Tables 1 to 5, with the registered model on the sample (TABLES="--data dpd=... --model sram=...": others)
	@$(PY) pipelines/evaluate.py --tables --name tables $(or $(TABLES),--model gkmnet=challenger)

test: $(STAMP) ## the default tests, a few minutes
	$(PYTEST) -n 3 -m "not slow" $(PYTEST_FLAGS)

test-all: $(STAMP) ## all tests, the slow ones and those in a browser too
	$(PYTEST) -n 2 -m "not soak" $(PYTEST_FLAGS)

soak: $(STAMP) ## studies ended in every way at random moments, and run again; 3 hours (SOAK="--moments 1 --slots 1": minutes)
	$(PY) tests/soak/endings.py $(SOAK)

soak-groups: $(STAMP) ## groups of workers through the kill of each process, a full disk, lost nodes; ten minutes
	OMP_NUM_THREADS=1 $(PY) -m pytest tests/integration/test_faults_in_groups.py -m soak -v $(PYTEST_FLAGS)

soak-road: $(STAMP) ## the whole road by ray job submit on make stack, each of its doors with a wrong key, and no secret in what it leaves; five minutes
	OMP_NUM_THREADS=1 $(PY) -m pytest tests/integration/test_stack.py -m soak -v $(PYTEST_FLAGS)

soak-stack: $(STAMP) ## each server of make stack killed during a study, then backup and restore; ten minutes
	OMP_NUM_THREADS=1 $(PY) tests/soak/servers.py $(SOAK)

soak-autoscaler: $(STAMP) ## sweeps on a cluster that Ray's own autoscaler grows and shrinks, through the loss of a node; a quarter of an hour
	OMP_NUM_THREADS=1 $(PY) -m pytest -m soak -v -s tests/integration/test_autoscaling.py $(PYTEST_FLAGS)

lint: $(STAMP) ## ruff and mypy
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

.venv-bench/.installed: benchmarks/requirements.txt | $(STAMP)
	@$(PY) -m venv .venv-bench
	@.venv-bench/bin/python -m pip install --quiet --no-input --no-compile -r benchmarks/requirements.txt
	@touch $@

bench-loader: $(STAMP) .venv-bench/.installed ## crops per second against PNG, WebDataset and MosaicML Streaming, two minutes
	$(PY) benchmarks/loader.py

.venv-bench/syne-tune/.installed: benchmarks/requirements-syne-tune.txt | $(STAMP)
	@$(PY) -m venv .venv-bench/syne-tune
	@.venv-bench/syne-tune/bin/python -m pip install --quiet --no-input --no-compile -r $<
	@touch $@

bench-search: $(STAMP) .venv-bench/syne-tune/.installed ## what searches find at equal cost, against Optuna and Syne Tune, half an hour
	OMP_NUM_THREADS=1 $(PY) benchmarks/search.py

bench-orchestration: $(STAMP) .venv-bench/syne-tune/.installed ## time beside training, against Ray Tune and Syne Tune, a quarter of an hour
	$(PY) benchmarks/orchestration.py

bench-driver: $(STAMP) ## how many slots one driver keeps filled, and what a trial costs it, half an hour
	OMP_NUM_THREADS=1 $(PY) benchmarks/driver.py

mlflow: $(STAMP) ## MLflow's pages of what is in runs/, at http://127.0.0.1:5000 (MLFLOW_PORT=5001: another port)
	@MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false .venv/bin/mlflow server --host 127.0.0.1 --port $(or $(MLFLOW_PORT),5000) --workers 1 --backend-store-uri sqlite:///$(CURDIR)/$(RUNS)/mlflow.db --artifacts-destination $(CURDIR)/$(RUNS)/artifacts

check-cluster: $(STAMP) ## check the files of cluster/: launchers, Kubernetes, policies, image, scripts; nothing is started
	@$(PY) -m cluster.checks

cluster: $(STAMP) ## start a local Ray cluster with dashboard and token, and print how to submit a job to it
	@bash cluster/local.sh start

cluster-stop: ## stop it
	@bash cluster/local.sh stop

stack: $(STAMP) ## start PostgreSQL, S3, MLflow and Ray, all with passwords, until Ctrl-C, and print the road on them (STACK="--mlflow-port 5000 --cpus 2")
	@$(PY) -m cluster.stack start $(STACK)

stack-status: $(STAMP) ## say what of it runs, and where
	@$(PY) -m cluster.stack status

stack-stop: $(STAMP) ## stop it from another terminal, or end what a killed one has left
	@$(PY) -m cluster.stack stop

.venv-audit/.installed: .ci/audit-requirements.txt | $(STAMP)
	@$(PY) -m venv .venv-audit
	@.venv-audit/bin/python -m pip install --quiet --no-input --no-compile -r $<
	@touch $@

audit: $(STAMP) .venv-audit/.installed ## known holes of the pinned packages (asks PyPI), and the list of installed ones: runs/sbom.json
	@mkdir -p $(RUNS)
	@.venv-audit/bin/cyclonedx-py environment --of JSON --output-file $(RUNS)/sbom.json .venv
	@.venv-audit/bin/pip-audit --strict --requirement constraints.txt --no-deps --disable-pip --progress-spinner off

clean: ## remove .venv and caches; runs/ stays
	rm -rf .venv .venv-audit .venv-bench .pytest_cache .mypy_cache .ruff_cache build gkm.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
