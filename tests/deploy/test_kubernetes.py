"""What kustomize makes of deploy/kubernetes, held to the schemas of Kubernetes and of the Prometheus operator."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from tests.deploy.programs import program
from tests.deploy.wheels import ROOT
from watchdog.config import parse
from watchdog.web.guard import PROBES

KUBERNETES = ROOT / "deploy/kubernetes"
OVERLAYS = ("standalone", "pair", "sidecar")
SCHEMAS: Mapping[str, Any] = json.loads((Path(__file__).parent / "schemas/kubernetes.json").read_text())
PODS = ("StatefulSet", "Deployment")


@cache
def made(overlay: str) -> tuple[dict[str, Any], ...]:
    """Return the objects that kustomize makes of *overlay*."""
    argv = [program("kubectl"), "kustomize", str(KUBERNETES / "overlays" / overlay)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return tuple(yaml.safe_load_all(done.stdout))


@cache
def validator(kind: str) -> jsonschema_rs.Validator:
    """Return what knows objects of *kind*."""
    return jsonschema_rs.validator_for({**SCHEMAS["kinds"][kind], "definitions": SCHEMAS["definitions"]})


def of(kind: str, overlay: str) -> dict[str, Any]:
    """Return the one object of *kind*."""
    (found,) = (thing for thing in made(overlay) if thing["kind"] == kind)
    return found


def pod_of(thing: Mapping[str, Any]) -> dict[str, Any]:
    """Return the specification of the pods it makes."""
    spec: dict[str, Any] = thing["spec"]["template"]["spec"]
    return spec


def containers(pod: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return all containers of a pod."""
    return [*pod.get("initContainers", []), *pod["containers"]]


EVERYTHING = [(overlay, thing) for overlay in OVERLAYS for thing in made(overlay)]
WORKLOADS = [(overlay, thing) for overlay, thing in EVERYTHING if thing["kind"] in PODS]


@pytest.mark.parametrize(
    ("overlay", "thing"), EVERYTHING, ids=[f"{overlay}-{thing['kind']}" for overlay, thing in EVERYTHING]
)
def test_each_object_is_one_that_kubernetes_takes(overlay: str, thing: dict[str, Any]) -> None:
    """Strictly: no key that nobody reads. What belongs to a namespace says to which."""
    assert [error.message for error in validator(thing["kind"]).iter_errors(thing)] == []
    expected = (
        None if thing["kind"] == "Namespace" else "orders" if overlay == "sidecar" else "pipeline-watchdog"
    )
    assert thing["metadata"].get("namespace") == expected


def _misspell(path: str) -> Callable[[dict[str, Any]], None]:
    def spoil(thing: dict[str, Any]) -> None:
        *way, last = path.split(".")
        place: Any = thing
        for step in way:
            place = place[int(step) if isinstance(place, list) else step]
        place[f"{last}s"] = place.pop(last)

    return spoil


MISSPELT = {
    "a probe's path": ("StatefulSet", "spec.template.spec.containers.0.livenessProbe.httpGet.path"),
    "a security context": (
        "StatefulSet",
        "spec.template.spec.containers.0.securityContext.readOnlyRootFilesystem",
    ),
    "a claim": ("StatefulSet", "spec.volumeClaimTemplates.0.spec.resources"),
    "a policy": ("NetworkPolicy", "spec.policyTypes"),
    "a service": ("Service", "spec.publishNotReadyAddresses"),
    "what is scraped": ("ServiceMonitor", "spec.endpoints.0.honorLabels"),
    "a relabeling": ("ServiceMonitor", "spec.endpoints.0.relabelings.0.targetLabel"),
    "a rule": ("PrometheusRule", "spec.groups.0.rules.0.expr"),
    "a budget": ("PodDisruptionBudget", "spec.maxUnavailable"),
}


@pytest.mark.parametrize(("kind", "path"), MISSPELT.values(), ids=MISSPELT)
def test_a_misspelt_field_is_refused(kind: str, path: str) -> None:
    """Else the test above would say nothing."""
    thing = json.loads(json.dumps(of(kind, "pair")))
    _misspell(path)(thing)
    assert not validator(kind).is_valid(thing)


@pytest.mark.parametrize(("overlay", "thing"), WORKLOADS, ids=[overlay for overlay, _ in WORKLOADS])
def test_pods_are_admitted_where_pod_security_is_restricted(overlay: str, thing: dict[str, Any]) -> None:
    """Each demand of that standard, and a root file system that nobody writes to."""
    pod = pod_of(thing)
    security = pod["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] > 0
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    for container in containers(pod):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
    for volume in pod["volumes"]:
        assert {"name", "configMap"} == set(volume) or {"emptyDir", "secret"} & set(volume)


@pytest.mark.parametrize(("overlay", "thing"), WORKLOADS, ids=[overlay for overlay, _ in WORKLOADS])
def test_probes_ask_what_the_sidecar_serves(overlay: str, thing: dict[str, Any]) -> None:
    """On its port; the sidecar's own are open to everybody, a service's is one of the file."""
    config = _rules(overlay)
    for container in containers(pod_of(thing)):
        ports = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            if (asked := container.get(probe, {}).get("httpGet")) is None:
                continue
            assert ports.get(asked["port"], asked["port"]) == config.listen[1]
            if container["name"] == "watchdog":
                assert asked["path"] in PROBES
            else:
                assert asked["path"].removeprefix("/health/") in config.services
        if container["name"] == "watchdog":
            assert container["livenessProbe"]["httpGet"]["path"] == "/-/healthy", (
                "it would loop while Redis is away"
            )


def _rules(overlay: str) -> Any:
    text = of("ConfigMap", overlay)["data"]["rules.yaml"]
    for name, value in {
        "redis-url": "redis://127.0.0.1:1",
        "slack-url": "https://hooks.slack.example/x",
        "tokens": "me: 0123456789abcdef",
    }.items():
        text = text.replace(f"{{file: /run/secrets/pipeline-watchdog/{name}}}", f'"{value}"')
    return parse(text, environment={"POD_NAME": "pipeline-watchdog-0"})


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_rules_in_the_config_map_are_right(overlay: str) -> None:
    """They load, and listen where other pods can ask; both of a pair have their own name."""
    config = _rules(overlay)
    assert config.listen == ("0.0.0.0", 9821)
    assert (config.pair.name if config.pair else None) == (
        "pipeline-watchdog-0" if overlay == "pair" else None
    )
    assert not of("ConfigMap", overlay)["metadata"]["name"].count("-rules-"), "a new name would be a new pod"


def test_the_state_outlives_the_pod_and_has_one_owner() -> None:
    """A claim for each pod, mounted where the state file is."""
    for overlay, replicas in {"standalone": 1, "pair": 2}.items():
        thing = of("StatefulSet", overlay)
        (claim,) = thing["spec"]["volumeClaimTemplates"]
        (mount,) = (
            m for m in containers(pod_of(thing))[0]["volumeMounts"] if m["name"] == claim["metadata"]["name"]
        )
        assert str(_rules(overlay).state).startswith(mount["mountPath"])
        assert thing["spec"]["replicas"] == replicas
    assert of("Deployment", "sidecar")["spec"]["strategy"] == {"type": "Recreate"}


def test_what_is_mounted_is_there() -> None:
    """Every mount has its volume, every port by name its container's, every selector its pods."""
    for overlay, thing in WORKLOADS:
        pod = pod_of(thing)
        volumes = {volume["name"] for volume in pod["volumes"]}
        volumes |= {claim["metadata"]["name"] for claim in thing["spec"].get("volumeClaimTemplates", [])}
        assert {mount["name"] for c in containers(pod) for mount in c.get("volumeMounts", [])} == volumes
        maps = {volume["configMap"]["name"] for volume in pod["volumes"] if "configMap" in volume}
        assert maps == {of("ConfigMap", overlay)["metadata"]["name"]}
    labels = of("StatefulSet", "pair")["spec"]["template"]["metadata"]["labels"].items()
    for kind, way in (("Service", "selector"), ("StatefulSet", "selector"), ("NetworkPolicy", "podSelector")):
        selector = of(kind, "pair")["spec"][way]
        assert selector
        assert selector.get("matchLabels", selector).items() <= labels
    monitored = of("ServiceMonitor", "pair")["spec"]["selector"]["matchLabels"].items()
    assert monitored <= of("Service", "pair")["metadata"]["labels"].items()


def test_the_operators_rules_are_those_of_prometheus() -> None:
    """Made by `make dashboards`, and by nobody's hand."""
    own = yaml.safe_load((ROOT / "prometheus/rules/watchdog.yml").read_text())
    assert of("PrometheusRule", "pair")["spec"] == own
    job = of("ServiceMonitor", "pair")["spec"]["endpoints"][0]["relabelings"][0]
    assert (job["targetLabel"], job["replacement"]) == ("job", "watchdog"), "the rules ask for that job"
