"""Serves S3 on loopback, for tests: moto, which checks signatures and policies as AWS does.

    python python/s3_server.py COMMAND [ARGUMENT...]

runs a command with credentials for an empty bucket in its environment, and ends when it ends. The
bucket is in `ZOOLAKE_TEST_STORE` too, where `cargo test --test tests` looks for a place for stores.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading

import boto3
import moto.settings
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

# Requests to the server go through no proxy.
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"

REGION = "us-east-1"
EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


class Handler(MotoRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_request(self, *_):
        """Says nothing of each request."""


class Server:
    """A server on a free port, in which nobody may do anything without a key."""

    def __init__(self):
        self._application = DomainDispatcherApplication(create_backend_app)
        self._lock = threading.Lock()
        self._http = make_server("127.0.0.1", 0, self._serve, threaded=True, request_handler=Handler)
        self.endpoint = f"http://127.0.0.1:{self._http.server_port}"
        # Which requests take effect and are answered as if they had failed.
        self.unacknowledged = lambda method, path: False
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        # Until there is an administrator nobody is asked for a signature.
        self._keys = {"aws_access_key_id": "nobody", "aws_secret_access_key": "nothing"}
        environment = self.user("administrator", EVERYTHING)
        self._keys = {key: environment[key.upper()] for key in self._keys}
        moto.settings.INITIAL_NO_AUTH_ACTION_COUNT = 0

    def _serve(self, environment, start_response):
        """One request after another: moto looks for an object and then stores it, S3 does both at once."""
        with self._lock:
            if not self.unacknowledged(environment["REQUEST_METHOD"], environment["PATH_INFO"]):
                return [b"".join(self._application(environment, start_response))]
            list(self._application(environment, lambda *_: None))
            start_response("500 Internal Server Error", [("Content-Length", "0")])
            return [b""]

    def stop(self):
        self._http.shutdown()
        self._http.server_close()

    def client(self, service):
        """A client with all rights."""
        return boto3.client(service, endpoint_url=self.endpoint, region_name=REGION, **self._keys)

    def user(self, name, policy):
        """The environment variables of a new user with this policy."""
        iam = self.client("iam")
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="policy", PolicyDocument=json.dumps(policy))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        }


@contextlib.contextmanager
def serve():
    """A server that is gone afterwards, whatever happened."""
    server = Server()
    try:
        yield server
    finally:
        server.stop()


def main(command):
    # Ended from outside, the server ends as after its command.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with serve() as server:
        server.client("s3").create_bucket(Bucket="zoolake")
        environment = server.user("tester", EVERYTHING) | {"ZOOLAKE_TEST_STORE": "s3://zoolake/tests"}
        return subprocess.run(command, env=os.environ | environment).returncode


if __name__ == "__main__":
    if not sys.argv[1:]:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1:]))
