FROM python:3-slim AS build
COPY . /src
RUN pip wheel --no-cache-dir --wheel-dir /wheels /src

FROM python:3-slim
COPY --from=build /wheels /wheels
# twistd writes its list of plugins once, while it still may.
RUN pip install --no-cache-dir --no-index --find-links /wheels aprp \
 && rm -r /wheels \
 && twistd --help >/dev/null \
 && useradd --system --no-create-home --shell /usr/sbin/nologin aprp \
 && install -d -o aprp -m 700 /var/cache/aprp
USER aprp
WORKDIR /tmp
EXPOSE 8000
# Asks the admin port that docs/operations.md has in its container's configuration.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s \
  CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8001/healthz')"]
# The log goes to standard output, as the access log does with `access: "-"`.
ENTRYPOINT ["sh", "-c", "exec twistd -n --pidfile= aprp \"$@\" 2>&1", "aprp"]
CMD ["--config", "/etc/aprp/aprp.yaml"]
