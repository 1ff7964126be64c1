"""Runs the Kubernetes template of docs/cluster as its pods would run it, one process per index.

    python python/check_cluster.py target/release/zoolake
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

TEMPLATE = Path(__file__).parent.parent / "docs/cluster/kubernetes.yaml"
ZOO = """\
name = "parts"
dataset = "digits"
arch = "cnn_s"
epochs = 1
seeds = { from = 1, to = 11 }
[hyper]
activation = "tanh"
init = "kaiming_uniform"
optimizer = "adam"
lr = 1e-3
"""
MODELS = 11


def main(zoolake):
    job = yaml.safe_load(TEMPLATE.read_text())
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
    spec = job["spec"]
    assert spec["completionMode"] == "Indexed"
    pod = spec["template"]["spec"]
    # Kubernetes allows a failure policy with this restart policy only.
    assert pod["restartPolicy"] == "Never"
    (container,) = pod["containers"]
    rule = spec["podFailurePolicy"]["rules"][0]
    assert rule["action"] == "Ignore" and rule["onExitCodes"]["values"] == [75]
    assert rule["onExitCodes"]["containerName"] == container["name"]
    volumes = {volume["name"] for volume in pod["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} <= volumes

    command = container["command"] + container["args"]
    assert command[:3] == ["zoolake", "train", "mnist_hyp_fix"], command
    completions = spec["completions"]
    assert f"auto/{completions}" in command, "the number of parts stands in two places"
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "zoo.toml").write_text(ZOO)
        command = [zoolake, "train", "zoo.toml", *command[3:], "--jobs", "1"]
        # The template's own variables, but for places that are not here.
        variables = {variable["name"]: variable["value"] for variable in container["env"]}
        variables |= {"ZOOLAKE_STORE": f"{folder}/store"}
        pods = [
            subprocess.Popen(
                command,
                cwd=folder,
                env=os.environ | variables | {"JOB_COMPLETION_INDEX": str(index)},
                stderr=subprocess.PIPE,
                text=True,
            )
            for index in range(completions)
        ]
        trained = 0
        for pod in pods:
            _, errors = pod.communicate()
            assert pod.returncode == 0, errors
            assert "by another writer" not in errors, errors
            trained += int(errors.rpartition("trained and stored ")[2].split()[0])
        assert trained == MODELS, trained
        count = subprocess.run(
            [zoolake, "sql", "--store", f"{folder}/store", "--format", "csv", "SELECT count(*) AS n FROM models"],
            check=True,
            capture_output=True,
            text=True,
        )
        assert count.stdout == f"n\n{MODELS}\n", count.stdout
    print(f"{completions} pods of the Kubernetes template trained {MODELS} models, each of them once")


if __name__ == "__main__":
    main(str(Path(sys.argv[1]).resolve()))
