setup:
	test -d .venv || python3 -m venv .venv
	.venv/bin/pip install -q uv
	.venv/bin/uv sync -q --active
