# dlexp in a container, set up by the commands of the README; docs/guides/install.md has the lines to type.
FROM python:3.12-slim AS system
# g++ is for trainer.compile, git for the commit that a run records.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ git make \
    && rm -rf /var/lib/apt/lists/*

FROM system AS installed
# Address of an index with torch's builds for the CPU alone, a fifth of the size; without it the usual one is installed.
ARG CPU_WHEELS=""
WORKDIR /dlexp
COPY pyproject.toml constraints.txt Makefile README.md LICENSE ./
COPY dlexp/__init__.py dlexp/
COPY conf conf
RUN python3 -m venv .venv \
    && if [ -n "$CPU_WHEELS" ]; then \
         .venv/bin/python -m pip install --no-cache-dir --constraint constraints.txt --index-url "$CPU_WHEELS" \
           torch torchvision; \
       fi \
    && PIP_NO_CACHE_DIR=1 make setup
COPY . .
RUN make train ARGS="trainer=smoke --run-dir /tmp/first-run" && rm -r /tmp/first-run

# docker build --target test .
FROM installed AS test
RUN make test

FROM installed AS run
# void: the CPU, also on a machine with GPUs; all: its NVIDIA GPUs, with docker run --gpus all.
ARG GPUS=void
ENV NVIDIA_VISIBLE_DEVICES=$GPUS NVIDIA_DRIVER_CAPABILITIES=compute,utility PATH="/dlexp/.venv/bin:$PATH"
RUN useradd --create-home user && mkdir /work && chown user:user /work
USER user
WORKDIR /work
ENTRYPOINT ["dlexp"]
CMD ["--help"]
