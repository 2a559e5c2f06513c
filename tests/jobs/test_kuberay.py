"""jobs/kuberay.yaml is one that Kubernetes and KubeRay take, and its parts fit together."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import kubernetes_validate
import pytest
import yaml

from .commands import JOBS, options_of_adiw_tune

KUBERNETES = "1.33"
TEXT = (JOBS / "kuberay.yaml").read_text()
*OBJECTS, JOB = list(yaml.safe_load_all(TEXT))
VOLUME = yaml.safe_load((JOBS / "kuberay-volume.yaml").read_text())
CLUSTER = JOB["spec"]["rayClusterSpec"]
HEAD = CLUSTER["headGroupSpec"]
(WORKERS,) = CLUSTER["workerGroupSpecs"]
TEMPLATES = {
    "submitter": JOB["spec"]["submitterPodTemplate"],
    "head": HEAD["template"],
    "workers": WORKERS["template"],
}

# Of the fields of ray.io/v1 in KubeRay's custom resource definition, those that are used.
FIELDS = {
    "job": {
        "entrypoint", "backoffLimit", "shutdownAfterJobFinishes", "submitterPodTemplate",
        "rayClusterSpec",
    },
    "cluster": {
        "rayVersion", "authOptions", "enableInTreeAutoscaling", "autoscalerOptions",
        "headGroupSpec", "workerGroupSpecs",
    },
    "autoscaler": {"idleTimeoutSeconds", "resources", "securityContext"},
    "head": {"rayStartParams", "template"},
    "workers": {"groupName", "minReplicas", "maxReplicas", "rayStartParams", "template"},
}  # fmt: skip


def find(kind: str, name: str) -> dict[str, Any]:
    (found,) = (o for o in OBJECTS if (o["kind"], o["metadata"]["name"]) == (kind, name))
    return found


def pods() -> Iterator[dict[str, Any]]:
    yield find("Deployment", "adiw-tune-mlflow")["spec"]["template"]["spec"]
    yield from (template["spec"] for template in TEMPLATES.values())


@pytest.mark.parametrize("each", [*OBJECTS, VOLUME], ids=lambda each: each["kind"])
def test_kubernetes_own_kinds_are_as_their_schema_says(each: dict[str, Any]) -> None:
    kubernetes_validate.validate(each, KUBERNETES, strict=True)


@pytest.mark.parametrize("of", TEMPLATES)
def test_pods_of_the_job_are_as_their_schema_says(of: str) -> None:
    pod = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {}, "template": TEMPLATES[of]}
    kubernetes_validate.validate(pod, KUBERNETES, strict=True)


def test_a_field_that_does_not_exist_is_refused() -> None:
    service = find("Service", "adiw-tune-mlflow")
    wrong = {**service, "spec": {**service["spec"], "selectors": {}}}
    with pytest.raises(kubernetes_validate.ValidationError, match="selectors"):
        kubernetes_validate.validate(wrong, KUBERNETES, strict=True)


def test_the_job_has_fields_of_kuberay_alone() -> None:
    assert (JOB["apiVersion"], JOB["kind"]) == ("ray.io/v1", "RayJob")
    parts = {
        "job": JOB["spec"],
        "cluster": CLUSTER,
        "autoscaler": CLUSTER["autoscalerOptions"],
        "head": HEAD,
        "workers": WORKERS,
    }
    for name, part in parts.items():
        assert set(part) == FIELDS[name], name
    assert CLUSTER["authOptions"] == {"mode": "token"}
    for group in (HEAD, WORKERS):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())


def test_the_search_goes_on_in_a_later_cluster_from_what_all_pods_share() -> None:
    asked = options_of_adiw_tune(shlex.split(JOB["spec"]["entrypoint"])[1:])
    assert asked["or_resume"]
    assert asked["address"] == "auto"
    assert (asked["gpus_per_trial"], asked["concurrency"]) == (1, WORKERS["maxReplicas"])
    assert JOB["spec"]["backoffLimit"] > 0
    shared = find("PersistentVolumeClaim", "adiw-tune-shared")
    assert shared["spec"]["accessModes"] == ["ReadWriteMany"]
    for of in ("head", "workers"):
        (container,) = TEMPLATES[of]["spec"]["containers"]
        places = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert str(asked["storage"]).startswith(places["shared"])
        assert str(asked["space"]).startswith(places["space"])
        volumes = {volume["name"]: volume for volume in TEMPLATES[of]["spec"]["volumes"]}
        claim = volumes["shared"]["persistentVolumeClaim"]["claimName"]
        assert claim == shared["metadata"]["name"]


def test_mlflow_answers_by_the_name_that_the_search_calls_it_and_to_its_pods_alone() -> None:
    uri = options_of_adiw_tune(shlex.split(JOB["spec"]["entrypoint"])[1:])["tracking_uri"]
    service = find("Service", "adiw-tune-mlflow")
    name, port = service["metadata"]["name"], service["spec"]["ports"][0]["port"]
    assert uri == f"http://{name}:{port}"
    assert service["spec"]["type"] == "ClusterIP"
    server = find("Deployment", "adiw-tune-mlflow")["spec"]
    assert service["spec"]["selector"] == server["template"]["metadata"]["labels"]
    (container,) = server["template"]["spec"]["containers"]
    (hosts,) = (arg for arg in container["args"] if arg.startswith("--allowed-hosts="))
    assert f"{name}:{port}" in hosts.partition("=")[2].split(",")
    policy = find("NetworkPolicy", "adiw-tune-mlflow")["spec"]
    (rule,) = policy["ingress"]
    (source,) = rule["from"]
    assert source["podSelector"]["matchLabels"] == HEAD["template"]["metadata"]["labels"]


def test_versions_are_those_that_are_installed() -> None:
    every = (*pods(), VOLUME["spec"]["template"]["spec"])
    containers = [container for pod in every for container in pod["containers"]]
    assert {container["image"] for container in containers} == {
        f"registry.example.com/adiw-tune:{version('adiw-tune')}"
    }
    assert CLUSTER["rayVersion"] == version("ray")


def test_on_nfs_the_volume_is_given_to_the_user_that_the_pods_run_as() -> None:
    pod = VOLUME["spec"]["template"]["spec"]
    (container,), (volume,) = pod["containers"], pod["volumes"]
    shared = find("PersistentVolumeClaim", "adiw-tune-shared")
    assert volume["persistentVolumeClaim"]["claimName"] == shared["metadata"]["name"]
    (mount,) = container["volumeMounts"]
    _, owner, folder = container["command"]
    assert mount == {"name": volume["name"], "mountPath": folder}
    for security in (template["spec"]["securityContext"] for template in TEMPLATES.values()):
        assert owner == f"{security['runAsUser']}:{security['fsGroup']}"
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["CHOWN"]}


def test_the_image_has_what_an_mlflow_server_on_postgresql_and_s3_needs() -> None:
    (line,) = (x for x in (JOBS / "Dockerfile").read_text().splitlines() if "pip install" in x)
    pinned = (JOBS.parent / "constraints.txt").read_text()
    for package in shlex.split(line)[-2:]:
        name = package.partition("[")[0]
        assert f"\n{name}=={version(name)}\n" in pinned


def test_the_image_takes_what_the_checkout_has() -> None:
    lines = (JOBS / "Dockerfile").read_text().splitlines()
    sources = [word for line in lines if line.startswith("COPY") for word in line.split()[1:-1]]
    assert "adiw_tune" in sources
    assert all((JOBS.parent / source).exists() for source in sources)


def test_gpu_pods_come_and_go_and_the_head_runs_no_trial() -> None:
    assert CLUSTER["enableInTreeAutoscaling"] is True
    assert WORKERS["minReplicas"] == 0 < WORKERS["maxReplicas"]
    (container,) = WORKERS["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert HEAD["rayStartParams"]["num-cpus"] == "0"


def test_no_pod_runs_as_root_or_can_come_to() -> None:
    for pod in pods():
        assert pod["securityContext"]["runAsNonRoot"] is True
        for container in pod["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert set(container["resources"]) == {"requests", "limits"}
