# The service: the matterlog command with what it needs at run time, as a user without rights.
FROM python:3.13-slim AS build
WORKDIR /src
COPY requirements requirements
RUN python -m venv /opt/build && /opt/build/bin/pip install --no-cache-dir --require-hashes -r requirements/all.lock
RUN python -m venv /opt/matterlog \
    && /opt/matterlog/bin/pip install --no-cache-dir --require-hashes -r requirements/service.lock
COPY pyproject.toml README.md ./
COPY schemas schemas
COPY producers producers
COPY consumers consumers
COPY report report
COPY app app
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /dist . \
    && /opt/matterlog/bin/pip install --no-cache-dir --no-deps /dist/matterlog-*.whl

FROM python:3.13-slim
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin matterlog \
    && install -d -o matterlog -g matterlog -m 0700 /var/lib/matterlog
COPY --from=build /opt/matterlog /opt/matterlog
ENV PATH=/opt/matterlog/bin:$PATH MATTERLOG_DATABASE=/var/lib/matterlog/matterlog.duckdb
USER 10001:10001
WORKDIR /var/lib/matterlog
ENTRYPOINT ["matterlog"]
CMD ["--help"]
