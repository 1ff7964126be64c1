"""Uses a store on S3 as a lab would: several writers, readers, and everything that is set up wrong.

    python python/check_s3.py target/release/zoolake

The server is that of python/s3_server.py; its users have the policies of docs/object-stores.md.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from botocore.exceptions import ClientError
from s3_server import EVERYTHING, serve

GUIDE = Path(__file__).parent.parent / "docs/object-stores.md"
# Those of the policies in the guide.
BUCKET, PREFIX = "my-bucket", "zoos"
ZOO = """\
name = "race"
dataset = "digits"
arch = "cnn_s"
epochs = 1
seeds = { from = 1, to = 12 }
[hyper]
activation = "tanh"
init = "kaiming_uniform"
optimizer = "adam"
lr = 1e-3
"""
MODELS = 12


def check_creates(s3):
    """The one thing that commits ask for. A server without it proves nothing."""
    s3.create_bucket(Bucket="creates")

    def create(key, statuses):
        try:
            s3.put_object(Bucket="creates", Key=key, Body=b"entry", IfNoneMatch="*")
            statuses.append(200)
        except ClientError as error:
            statuses.append(error.response["ResponseMetadata"]["HTTPStatusCode"])

    for round in range(20):
        statuses = []
        racers = [threading.Thread(target=create, args=(f"log/{round}", statuses)) for _ in range(8)]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join()
        assert sorted(statuses) == [200] + 7 * [412], statuses


def policies():
    """The policies of the guide: of those who write, and of those who read."""
    blocks = re.findall(r"```json\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    writer, reader = [json.loads(block) for block in blocks]
    assert any("s3:PutObject" in statement["Action"] for statement in writer["Statement"])
    assert not any("s3:PutObject" in statement["Action"] for statement in reader["Statement"])
    return writer, reader


class Program:
    """zoolake as one user calls it."""

    def __init__(self, zoolake, folder, environment):
        self.zoolake, self.folder, self.environment = zoolake, folder, environment

    def start(self, *arguments, without=(), **variables):
        environment = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
        environment |= self.environment | variables
        for variable in without:
            del environment[variable]
        # A mistake in the credentials must not ask a cloud for others.
        environment["AWS_METADATA_ENDPOINT"] = "http://127.0.0.1:9"
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [self.zoolake, *arguments], cwd=self.folder, env=environment, stdout=pipe, stderr=pipe, text=True
        )

    def __call__(self, *arguments, **options):
        """What is printed; what is said on standard error is kept."""
        process = self.start(*arguments, **options)
        output, errors = process.communicate()
        assert process.returncode == 0, (arguments, errors)
        self.errors = errors
        return output

    def failure(self, *arguments, **options):
        """The error and the hint: two lines, and nothing of XML."""
        process = self.start(*arguments, **options)
        output, errors = process.communicate()
        assert process.returncode == 1 and output == "", (arguments, process.returncode, output)
        lines = errors.splitlines()
        assert len(lines) == 2 and "<" not in errors, errors
        error, hint = lines
        assert error.startswith("error: ") and hint.startswith("hint: "), errors
        return error.removeprefix("error: "), hint.removeprefix("hint: ")

    def count(self, store, *arguments):
        output = self("sql", "--store", store, "--format", "csv", "SELECT count(*) AS n FROM models", *arguments)
        return int(output.split()[1])


def check_demo(program):
    """Trains, asks and verifies; and takes the requests that the guide says."""
    store = f"s3://{BUCKET}/{PREFIX}/demo"
    program("demo", "--store", store, "--commit-after", "3600", "--io-stats")
    assert "trained and stored 48 of 48 models" in program.errors, program.errors
    # One commit: models, epochs, weights and tensors; the entry, and the format of the store.
    assert " 4 PUT, 2 PUT-create, 0 DELETE; " in program.errors, program.errors
    assert "\ndigits_demo," in program("query", "zoos", "--store", store, "--format", "csv")
    assert (program.count(store), program.count(store, "--at", "0")) == (48, 0)
    program("describe", "--store", store, "--io-stats")
    assert "requests: 2 GET, 0 ranged GET, 1 LIST, 0 HEAD, 0 PUT" in program.errors, program.errors
    assert program("verify", "--store", store).startswith("sound: 48 models")
    return store


def check_race(program):
    """Two writers train one zoo; one is killed, and both are started again."""
    store = f"s3://{BUCKET}/{PREFIX}/race"
    Path(program.folder, "zoo.toml").write_text(ZOO)
    command = ["train", "zoo.toml", "--store", store, "--jobs", "1", "--commit-after", "0"]
    killed, racer = program.start(*command), program.start(*command)
    while program.start("sql", "--store", store, "SELECT 1", "--at", "1").wait() != 0 and racer.poll() is None:
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    assert racer.wait() == 0, racer.communicate()
    killed.wait()
    assert program.count(store) == MODELS
    for again in [program.start(*command) for _ in range(2)]:
        _, errors = again.communicate()
        assert again.returncode == 0 and errors.startswith("nothing to train"), errors
    assert program("verify", "--store", store).startswith(f"sound: {MODELS} models")
    commits = program("sql", "--store", store, "--format", "csv", "SELECT models FROM snapshots ORDER BY version")
    models = [int(line) for line in commits.split()[1:]]
    assert sum(models) == MODELS and min(models) > 0, models
    for version in range(len(models) + 1):
        assert program.count(store, "--at", str(version)) == sum(models[:version])


def check_lost_acknowledgements(program, server):
    """Every write takes effect, and fails the first time: the client repeats it, and finds its own."""
    store = f"s3://{BUCKET}/{PREFIX}/lost"
    seen = set()

    def first_write(method, path):
        first = method == "PUT" and path not in seen
        seen.add(path)
        return first

    server.unacknowledged = first_write
    program("train", "zoo.toml", "--limit", "2", "--store", store)
    server.unacknowledged = lambda method, path: False
    assert any("/log/" in path for path in seen), seen
    assert "trained and stored 2 of 2 models" in program.errors, program.errors
    assert program("verify", "--store", store).startswith("sound: 2 models in 4 files")


def check_mistakes(program, reader, owner, store):
    """What is set up wrong is said in a line, with what to do."""
    ask = ["verify", "--store", store]
    error, hint = program.failure(*ask, AWS_SECRET_ACCESS_KEY="wrong")
    assert ": SignatureDoesNotMatch: " in error and hint.startswith("check the credentials"), (error, hint)
    error, hint = program.failure(*ask, AWS_ACCESS_KEY_ID="AKIANOBODY")
    assert ": InvalidAccessKeyId: " in error and hint.startswith("check the credentials"), (error, hint)
    error, _ = program.failure(*ask, without=["AWS_ACCESS_KEY_ID"])
    assert error == f"store `{store}`: Missing AccessKeyId", error
    for command in [["verify"], ["train", "digits_demo", "--limit", "1"]]:
        error, hint = owner.failure(*command, "--store", "s3://no-bucket/zoo")
        assert ": NoSuchBucket: " in error and hint.startswith("make the bucket first"), (error, hint)
    error, hint = program.failure("verify", "--store", f"s3://{BUCKET}/{PREFIX}/nothing")
    assert error.startswith("no zoolake store at ") and hint.startswith("name one with"), (error, hint)
    error, hint = program.failure(*ask, without=["AWS_ALLOW_HTTP"])
    assert error.endswith("URL scheme is not allowed") and hint == "plain HTTP takes `--allow-http`", (error, hint)
    # Port 9 discards, if anything listens there at all.
    error, hint = program.failure(*ask, "--endpoint-url", "http://127.0.0.1:9")
    assert "Connection refused" in error and hint.startswith("check the endpoint"), (error, hint)

    assert reader.count(store) == 48
    assert reader("verify", "--store", store).startswith("sound: ")
    error, hint = reader.failure("train", "zoo.toml", "--limit", "1", "--store", store + "-new")
    assert error.startswith("cannot write `zoolake.json` ") and "AccessDenied" in error, error
    assert hint.startswith("check the credentials"), hint


def main(zoolake):
    writer, reader = policies()
    with serve() as server, tempfile.TemporaryDirectory() as folder:
        s3 = server.client("s3")
        check_creates(s3)
        s3.create_bucket(Bucket=BUCKET)
        program = Program(zoolake, folder, server.user("writer", writer))
        store = check_demo(program)
        check_race(program)
        check_lost_acknowledgements(program, server)
        reader = Program(zoolake, folder, server.user("reader", reader))
        owner = Program(zoolake, folder, server.user("owner", EVERYTHING))
        check_mistakes(program, reader, owner, store)
    print("a store on S3: trained, queried, raced for, verified, and refused where it should be")


if __name__ == "__main__":
    main(str(Path(sys.argv[1]).resolve()))
