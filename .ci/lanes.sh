# The lanes with real parts, sourced by `run`: each starts what it can, exports what the tests look for, and says what
# it did or why it is skipped. Everything that they start ends in `lanes_down`.

lane() { echo "== lane $1: $2"; }

apt_install() {
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >>"$WORK/apt.log" 2>&1 ||
    { tail -20 "$WORK/apt.log"; return 1; }
}

# A Kubernetes of its own: the full one (a node, real containers) for root, else the control plane.
lane_cluster() {
  local shared=$ROOT/../shared/cluster mode=full
  if [ ! -x "$shared/up" ]; then lane "real cluster" "SKIPPED: there is no ../shared/cluster"; return; fi
  if [ "$(id -u)" != 0 ]; then mode=control; fi
  export K8S_ID=k8sci K8S_NET=10.199.42 K8S_PODNET=10.242.0.0/16 K8S_SVCNET=10.243.0.0/16
  CLUSTER=$WORK/cluster
  if ! "$shared/up" "$CLUSTER" "$mode" >"$WORK/cluster.log" 2>&1 && [ "$mode" = full ]; then
    echo "the full cluster did not come up:"; tail -5 "$WORK/cluster.log"
    "$shared/down" "$CLUSTER" >/dev/null 2>&1 || true
    rm -rf "$CLUSTER"; mode=control
    "$shared/up" "$CLUSTER" control >"$WORK/cluster.log" 2>&1 || { cat "$WORK/cluster.log"; return 1; }
  fi
  export MLCONSOLE_TEST_KUBECONFIG=$CLUSTER/kubeconfig
  export PATH="${K8S_CACHE:-/var/tmp/kubernetes-1.20.2}:$PATH"
  lane "real cluster" "$mode, Kubernetes $(kubectl --kubeconfig "$CLUSTER/kubeconfig" version -o json |
    grep -o '"gitVersion": "[^"]*"' | tail -1 | cut -d'"' -f4)"
  [ "$mode" = full ] || lane "end to end on the real cluster" "SKIPPED: no node that runs pods (it takes root)"
}

lane_prometheus() {
  if ! command -v prometheus >/dev/null && [ "$(id -u)" = 0 ]; then apt_install prometheus || true; fi
  if command -v prometheus >/dev/null; then
    lane "real Prometheus" "$(prometheus --version 2>&1 | head -1 | cut -d' ' -f1-3)"
  else
    lane "real Prometheus" "SKIPPED: no prometheus on PATH, and it could not be installed"
  fi
  if ! command -v victoria-metrics >/dev/null && [ "$(id -u)" = 0 ]; then apt_install victoria-metrics || true; fi
  if command -v victoria-metrics >/dev/null; then
    lane "real VictoriaMetrics" "$(dpkg-query -W -f '${Version}' victoria-metrics 2>/dev/null || victoria-metrics -version)"
  else
    lane "real VictoriaMetrics" "SKIPPED: no victoria-metrics on PATH, and it could not be installed"
  fi
}

lane_alertmanager() {
  command -v prometheus-alertmanager >/dev/null || [ "$(id -u)" != 0 ] || apt_install prometheus-alertmanager || true
  if command -v prometheus-alertmanager >/dev/null; then
    lane "real Alertmanager" "$(prometheus-alertmanager --version 2>&1 | head -1 | cut -d' ' -f1-3)"
  else
    lane "real Alertmanager" "SKIPPED: no prometheus-alertmanager on PATH, and it could not be installed"
  fi
}

# A Docker Engine without networks: the console only asks it questions.
lane_docker() {
  local tried="root is needed to start one"
  if [ "$(id -u)" = 0 ]; then
    command -v dockerd >/dev/null || apt_install docker.io || true
    tried="dockerd could not be installed"
    if command -v dockerd >/dev/null; then
      mkdir -p "$WORK/docker"
      dockerd --data-root "$WORK/docker/data" --exec-root "$WORK/docker/exec" --pidfile "$WORK/docker/pid" \
        -H "unix://$WORK/docker/sock" --bridge=none --iptables=false --ip6tables=false >"$WORK/docker.log" 2>&1 &
      DOCKERD=$!
      for _ in $(seq 100); do
        if [ -S "$WORK/docker/sock" ] && kill -0 "$DOCKERD" 2>/dev/null &&
          "$WORK/tools/bin/python" .ci/ping.py "$WORK/docker/sock"; then
          export MLCONSOLE_TEST_DOCKER_HOST=unix://$WORK/docker/sock
          lane "real Docker Engine" "$(dockerd --version)"
          return
        fi
        kill -0 "$DOCKERD" 2>/dev/null || break
        sleep 0.2
      done
      tried="dockerd does not run here: $(tail -1 "$WORK/docker.log")"
    fi
  fi
  lane "real Docker Engine" "SKIPPED: $tried"
}

# tests/kills at every point takes a quarter of an hour (MLCONSOLE_TEST_KILLS=all); a sample of them a minute or two.
lane_kills() {
  export MLCONSOLE_TEST_KILLS=${MLCONSOLE_TEST_KILLS:-sample}
  if [ "$MLCONSOLE_TEST_KILLS" = all ]; then
    lane "kills and faults" "every operation killed before and after every write, every request failed in every way, 60 races"
  else
    lane "kills and faults" "a SAMPLE of the points; MLCONSOLE_TEST_KILLS=all takes every one"
  fi
}

lanes_down() {
  if [ -n "${DOCKERD:-}" ] && kill "$DOCKERD" 2>/dev/null; then wait "$DOCKERD" || true; fi
  if [ -n "${CLUSTER:-}" ] && [ -e "$CLUSTER/env" ]; then
    "$ROOT/../shared/cluster/down" "$CLUSTER" >"$WORK/down.log" 2>&1 || { cat "$WORK/down.log"; return 1; }
  fi
}
