"""The Kubernetes manifests: by the API's own types, by kubectl, by each other, and with psgate itself."""

import json
import os
import re
import shutil
import ssl
import subprocess
import tempfile
from pathlib import Path
from urllib.request import urlopen

import pytest
import yaml
from support.gateway import LISTENING
from support.tls import Authority
from support.waiting import DEADLINE, wait_until

from conftest import BUILDING, ROOT, one_at_a_time
from tools import find_tool

MANIFESTS = ROOT / "deploy" / "kubernetes"
OWN = MANIFESTS / "kustomization.yaml"
TYPES = ROOT / "tests" / "deploy" / "kubernetes"
FLEET = ROOT / "deploy" / "kubernetes-fleet"
CONFIG = json.loads((MANIFESTS / "psgate.json").read_text())
OBJECTS = [entry for path in sorted(MANIFESTS.glob("*.yaml")) if path != OWN
           for entry in yaml.safe_load_all(path.read_text())]


def find(kind, name="psgate"):
    (found,) = [entry for entry in OBJECTS if entry["kind"] == kind and entry["metadata"]["name"] == name]
    return found


POD = find("StatefulSet")["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]
VOLUMES = {volume["name"]: volume for volume in POD["volumes"]}
MOUNTS = {mount["name"]: mount for mount in CONTAINER["volumeMounts"]}
PORTS = {port["name"]: port["containerPort"] for port in CONTAINER["ports"]}


# -- the API's types -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def problems():
    """Asks the types of the Kubernetes API, from npm, what is wrong with objects."""
    if shutil.which("npm") is None:
        pytest.skip("needs npm")
    folder = ROOT / "build" / "kubernetes-types"
    with one_at_a_time("kubernetes-types"):
        folder.mkdir(parents=True, exist_ok=True)
        lock = (TYPES / "package-lock.json").read_bytes()
        made = folder / "made-of"
        for name in ("package.json", "package-lock.json", "validate.js"):
            shutil.copy(TYPES / name, folder)
        if not made.exists() or made.read_bytes() != lock:
            subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder, check=True,
                           capture_output=True, timeout=BUILDING)
            made.write_bytes(lock)

    def problems(objects):
        with one_at_a_time("kubernetes-types"):
            (folder / "objects.json").write_text(json.dumps(objects))
            return subprocess.run(["node", "validate.js", "objects.json"], cwd=folder, check=True, capture_output=True,
                                  text=True, timeout=BUILDING).stdout

    return problems


def test_every_object_is_one_of_the_api(problems):
    assert problems(OBJECTS) == ""


def test_the_types_know_what_is_wrong(problems):
    broken = json.loads(json.dumps(find("StatefulSet")))
    broken["spec"]["template"]["spec"]["containers"][0]["readOnlyRoot"] = True
    broken["spec"]["replicas"] = "2"
    del broken["spec"]["selector"]
    said = problems([broken])
    assert "'\"readOnlyRoot\"' does not exist" in said
    assert "replicas must be integer" in said and "selector" in said


def test_kubectl_makes_all_of_it_from_the_kustomization():
    kubectl = find_tool("kubectl", "kubernetes-client")
    result = kubectl.run("kustomize", MANIFESTS)
    assert result.returncode == 0, result.stderr
    made = {(entry["kind"], entry["metadata"]["name"]): entry for entry in yaml.safe_load_all(result.stdout)}
    assert set(made) == {(entry["kind"], entry["metadata"]["name"]) for entry in OBJECTS} | {("ConfigMap", "psgate")}
    assert json.loads(made["ConfigMap", "psgate"]["data"]["psgate.json"]) == CONFIG


# -- one another -----------------------------------------------------------------------------


def test_every_selector_finds_the_pods():
    labels = find("StatefulSet")["spec"]["template"]["metadata"]["labels"]
    assert find("StatefulSet")["spec"]["selector"]["matchLabels"] == labels
    assert find("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
    assert find("NetworkPolicy")["spec"]["podSelector"]["matchLabels"] == labels
    assert all(find("Service", name)["spec"]["selector"] == labels for name in ("psgate", "psgate-pods"))
    assert POD["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"] == labels


def test_every_object_is_in_the_namespace():
    assert {entry["metadata"].get("namespace") for entry in OBJECTS if entry["kind"] != "Namespace"} == {"psgate"}


def test_the_ports_are_those_of_the_configuration():
    assert PORTS == {"api": int(CONFIG["listen"][0]["address"].rpartition(":")[2]),
                     "metrics": int(CONFIG["admin"]["metrics_address"].rpartition(":")[2])}
    for name in ("psgate", "psgate-pods"):
        assert {port["targetPort"] for port in find("Service", name)["spec"]["ports"]} <= set(PORTS)
    for rule in find("NetworkPolicy")["spec"]["ingress"]:
        assert {port["port"] for port in rule["ports"]} <= set(PORTS)


def test_the_stateful_set_and_prometheus_know_the_headless_service():
    service = find("Service", "psgate-pods")
    assert service["spec"]["clusterIP"] == "None"
    assert find("StatefulSet")["spec"]["serviceName"] == "psgate-pods"
    jobs = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yaml").read_text())["scrape_configs"]
    (found,) = [sd for job in jobs for sd in job.get("dns_sd_configs", [])]
    assert found["names"] == ["psgate-pods.psgate.svc.cluster.local"]
    assert found["port"] == PORTS["metrics"]


def test_every_volume_is_mounted_and_every_mount_has_one():
    claims = {claim["metadata"]["name"] for claim in find("StatefulSet")["spec"]["volumeClaimTemplates"]}
    assert set(MOUNTS) == set(VOLUMES) | claims
    assert {name for name, mount in MOUNTS.items() if not mount.get("readOnly")} == claims


def test_nothing_that_a_gateway_can_do_without_is_allowed():
    context, own = POD["securityContext"], CONTAINER["securityContext"]
    assert context["runAsNonRoot"] and context["runAsUser"] == context["fsGroup"] == 65532
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    assert POD["automountServiceAccountToken"] is False
    assert find("Namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_a_pod_is_given_the_time_that_a_drain_takes():
    pause = int(CONTAINER["lifecycle"]["preStop"]["exec"]["command"][1])
    assert CONFIG.get("limits", {}).get("drain_timeout") is None  # the default, 30s
    assert POD["terminationGracePeriodSeconds"] >= pause + 30 + 5


def test_the_user_and_the_version_are_the_images():
    containerfile = (ROOT / "deploy/container/Containerfile").read_text()
    assert f"USER {POD['securityContext']['runAsUser']}:{POD['securityContext']['runAsGroup']}\n" in containerfile
    version = re.search(r"VERSION ([0-9.]+)", (ROOT / "CMakeLists.txt").read_text().partition("project(")[2])[1]
    assert CONTAINER["image"].endswith(f":{version}")
    assert yaml.safe_load(OWN.read_text())["images"][0]["newTag"] == version


# -- three gateways behind HAProxy ------------------------------------------------------------


@pytest.fixture(scope="module")
def fleet():
    """The objects of the fleet, as kubectl makes them, by kind and name."""
    result = find_tool("kubectl", "kubernetes-client").run("kustomize", FLEET)
    assert result.returncode == 0, result.stderr
    return {(entry["kind"], entry["metadata"]["name"]): entry for entry in yaml.safe_load_all(result.stdout)}


def labels(name):
    return {"app.kubernetes.io/name": name}


def pod_of(entry):
    return entry["spec"]["template"]["spec"]


def test_every_object_of_the_fleet_is_one_of_the_api(fleet, problems):
    assert problems(list(fleet.values())) == ""


def test_the_fleet_is_three_gateways_with_all_else_as_it_was(fleet):
    stateful_set, alone = fleet["StatefulSet", "psgate"], find("StatefulSet")
    assert stateful_set["spec"]["replicas"] == 3
    (container,) = pod_of(stateful_set)["containers"]
    for name in ("securityContext", "lifecycle", "volumeMounts", "resources"):
        assert container[name] == CONTAINER[name]
    assert pod_of(stateful_set)["volumes"] == POD["volumes"]
    assert stateful_set["spec"]["volumeClaimTemplates"] == alone["spec"]["volumeClaimTemplates"]


def test_clients_reach_haproxy_and_haproxy_the_gateways(fleet):
    assert fleet["Service", "psgate"]["spec"]["selector"] == labels("psgate-haproxy")
    assert fleet["Service", "psgate-pods"]["spec"]["selector"] == labels("psgate")
    (haproxy,) = pod_of(fleet["Deployment", "psgate-haproxy"])["containers"]
    text = fleet["ConfigMap", "psgate-haproxy"]["data"]["haproxy.cfg"]
    assert {f"bind :{port['containerPort']}" for port in haproxy["ports"]} == set(re.findall(r"bind :\d+", text))
    config = json.loads(fleet["ConfigMap", "psgate"]["data"]["psgate.json"])
    port = config["listen"][0]["address"].rpartition(":")[2]
    assert re.findall(r"^    server \S+ (\S+)$", text, re.MULTILINE) == [
        f"psgate-{number}.psgate-pods.psgate.svc.cluster.local:{port}" for number in range(3)]


def test_only_haproxy_reaches_the_listener_that_believes_every_header(fleet):
    config = json.loads(fleet["ConfigMap", "psgate"]["data"]["psgate.json"])
    believing, probed = config["listen"]
    assert believing["proxy_protocol"] == ["0.0.0.0/0"] and "proxy_protocol" not in probed
    (container,) = pod_of(fleet["StatefulSet", "psgate"])["containers"]
    ports = {port["name"]: f"0.0.0.0:{port['containerPort']}" for port in container["ports"]}
    assert (ports["api"], ports["probes"]) == (believing["address"], probed["address"])
    assert {container[name]["httpGet"]["port"] for name in ("readinessProbe", "livenessProbe")} == {"probes"}
    rules = fleet["NetworkPolicy", "psgate"]["spec"]["ingress"]
    by_port = {port["port"]: rule["from"] for rule in rules for port in rule["ports"]}
    assert by_port["api"] == [{"podSelector": {"matchLabels": labels("psgate-haproxy")}}]
    assert set(by_port) == {"api", "metrics"}


def test_the_gateways_reach_redis_and_nobody_else_does(fleet):
    config = json.loads(fleet["ConfigMap", "psgate"]["data"]["psgate.json"])
    service = fleet["Service", "psgate-redis"]["spec"]
    assert config["cluster"]["redis"] == f"redis://psgate-redis:{service['ports'][0]['port']}"
    to_redis = {"to": [{"podSelector": {"matchLabels": labels("psgate-redis")}}],
                "ports": [{"port": "redis", "protocol": "TCP"}]}
    assert to_redis in fleet["NetworkPolicy", "psgate"]["spec"]["egress"]
    policy = fleet["NetworkPolicy", "psgate-redis"]["spec"]
    assert [rule["from"] for rule in policy["ingress"]] == [[{"podSelector": {"matchLabels": labels("psgate")}}]]
    assert "egress" not in policy and "Egress" in policy["policyTypes"]


@pytest.mark.parametrize("name", ["psgate-haproxy", "psgate-redis"])
def test_haproxy_and_redis_may_do_nothing_beside_their_work(fleet, name):
    pod = pod_of(fleet["Deployment", name])
    assert pod["securityContext"]["runAsNonRoot"] and pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = pod["containers"]
    assert container["securityContext"] == CONTAINER["securityContext"]
    assert not any("secret" in volume for volume in pod["volumes"])


# -- the program -----------------------------------------------------------------------------


class Mounted:
    """What a pod sees, below a folder: secrets as the kubelet writes them for an fsGroup."""

    def __init__(self, folder, binary):
        self.folder = folder
        folder.chmod(0o755)
        self.binary = shutil.copy(binary, folder)
        authority = Authority(self._make(folder / "authority"))
        self.ca_file = authority.ca_file
        token = subprocess.run([binary, "token", "create", "--clients", folder / "clients.json", "--name", "ci"],
                               check=True, capture_output=True, text=True)
        self.token = token.stdout.strip()
        self._secret("key", {"api-key": b"a-key\n"})
        self._secret("clients", {"clients.json": (folder / "clients.json").read_bytes()})
        self._secret("tls", {f"tls.{end}": (authority.folder / f"right.{kind}").read_bytes()
                             for end, kind in (("crt", "pem"), ("key", "key"))})
        trail = self._make(folder / MOUNTS["trail"]["mountPath"].lstrip("/"))
        os.chown(trail, 0, 65532)
        trail.chmod(0o2775)
        self.take(MANIFESTS / "psgate.json")

    def take(self, path):
        """That configuration, with this folder's paths and free ports."""
        text = path.read_text()
        for place in ("/etc/psgate", "/var/lib/psgate"):
            text = text.replace(f'"{place}', f'"{self.folder}{place}')
        self.config = json.loads(re.sub(r":(844[34]|918[01])\"", ':0"', text))
        self.config_file = self.folder / MOUNTS["config"]["mountPath"].lstrip("/")
        self.config_file.write_text(json.dumps(self.config))

    @staticmethod
    def _make(folder):
        folder.mkdir(parents=True)
        return folder

    def _secret(self, name, files):
        """Files in a dated folder, behind two links; root's, the fsGroup's, with the mode asked for."""
        mount = self._make(self.folder / MOUNTS[name]["mountPath"].lstrip("/"))
        dated = self._make(mount / "..2026_01_31")
        (mount / "..data").symlink_to(dated.name)
        for file, content in files.items():
            path = dated / file
            path.write_bytes(content)
            os.chown(path, 0, POD["securityContext"]["fsGroup"])
            path.chmod(VOLUMES[name]["secret"]["defaultMode"])
            (mount / file).symlink_to(f"..data/{file}")

    def command(self, *arguments):
        context = POD["securityContext"]
        return ["setpriv", f"--reuid={context['runAsUser']}", f"--regid={context['runAsGroup']}", "--clear-groups",
                "--no-new-privs", "--bounding-set=-all", self.binary, *arguments, "-c", str(self.config_file)]


@pytest.fixture
def mounted(binary):
    if os.geteuid() != 0:
        pytest.skip("takes root, to be another user")
    # Not pytest's folder, which no other user may enter.
    with tempfile.TemporaryDirectory() as folder:
        yield Mounted(Path(folder), binary)


def test_psgate_takes_the_configuration_and_the_secrets_modes(mounted):
    result = subprocess.run(mounted.command("check", "--offline"), capture_output=True, text=True, timeout=DEADLINE)
    assert result.returncode == 0, result.stdout + result.stderr


def test_psgate_takes_the_configuration_of_a_fleet(mounted):
    mounted.take(FLEET / "psgate.json")
    result = subprocess.run(mounted.command("check", "--offline"), capture_output=True, text=True, timeout=DEADLINE)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("name", ["readinessProbe", "livenessProbe"])
def test_the_probes_are_answered(mounted, name):
    probe = CONTAINER[name]["httpGet"]
    assert (probe["port"], probe["scheme"]) == ("api", "HTTPS")
    said = mounted.folder / "said"
    with open(said, "w") as out, open(mounted.folder / "log", "w") as log:
        process = subprocess.Popen(mounted.command("serve"), stdin=subprocess.DEVNULL, stdout=out, stderr=log)
    try:
        wait_until(lambda: said.read_text().endswith("\n") or process.poll() is not None, "psgate to listen")
        found = LISTENING.match(said.read_text().splitlines()[0])
        assert found, (mounted.folder / "log").read_text()
        context = ssl.create_default_context(cafile=str(mounted.ca_file))
        url = f"https://127.0.0.1:{found[3]}{probe['path']}"
        with urlopen(url, timeout=DEADLINE, context=context) as answer:
            assert answer.status == 200
    finally:
        process.terminate()
        assert process.wait(DEADLINE) == 0
