"""OpenStack Swift with its S3 API: proxy, accounts, containers and objects in one process, on loopback.

    swift_server.py PORT DIRECTORY

serves until it is ended. DIRECTORY takes its settings and databases; objects stay in memory. The user
is `interop:interop`, which is its access key id too, with the secret in INTEROP_SWIFT_SECRET_ACCESS_KEY.
"""

import os
import sys
from pathlib import Path

import eventlet

eventlet.monkey_patch()  # before anything of Swift is imported

from eventlet import wsgi
from swift.common import utils
from swift.common.http_protocol import SwiftHttpProtocol
from swift.common.ring import RingBuilder
from swift.common.wsgi import loadapp

SETTINGS = {
    "swift.conf": """
[swift-hash]
swift_hash_path_suffix = interop
""",
    "proxy.conf": """
[DEFAULT]
swift_dir = {directory}
log_address = {directory}/no-log
allow_account_management = true

[pipeline:main]
pipeline = catch_errors gatekeeper listing_formats s3api tempauth copy slo dlo versioned_writes proxy-server

[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true

[filter:s3api]
use = egg:swift#s3api
location = {region}

[filter:tempauth]
use = egg:swift#tempauth
user_interop_interop = {secret} .admin
""",
    "backend.conf": """
[DEFAULT]
swift_dir = {directory}
devices = {directory}
mount_check = false
log_address = {directory}/no-log

[app:main]
use = egg:swift#{app}
""",
}
FILTERS = "catch_errors gatekeeper listing_formats copy slo dlo versioned_writes"
BACKENDS = {"account": "account", "container": "container", "object": "mem_object"}


def main(port: int, directory: Path) -> None:
    secret = os.environ["INTEROP_SWIFT_SECRET_ACCESS_KEY"]
    (directory / "disk").mkdir(parents=True)
    (directory / "swift.conf").write_text(SETTINGS["swift.conf"])
    utils.set_swift_dir(str(directory))
    for name, app in BACKENDS.items():
        listener = eventlet.listen(("127.0.0.1", 0))
        write_ring(directory / f"{name}.ring.gz", listener.getsockname()[1])
        conf = directory / f"{name}.conf"
        conf.write_text(SETTINGS["backend.conf"].format(directory=directory, app=app))
        serve_in_background(listener, conf)
    conf = directory / "proxy.conf"
    text = SETTINGS["proxy.conf"].format(directory=directory, region="us-east-1", secret=secret)
    text += "".join(f"\n[filter:{name}]\nuse = egg:swift#{name}\n" for name in FILTERS.split())
    conf.write_text(text)
    serve_in_background(eventlet.listen(("127.0.0.1", port)), conf).wait()


def write_ring(path: Path, port: int) -> None:
    """One device, which has all there is."""
    builder = RingBuilder(part_power=0, replicas=1, min_part_hours=1)
    device = {"id": 0, "region": 1, "zone": 1, "weight": 1, "device": "disk", "ip": "127.0.0.1"}
    builder.add_dev(device | {"port": port})
    builder.rebalance()
    builder.get_ring().save(str(path))


def serve_in_background(listener, conf: Path):
    app = loadapp(str(conf))
    return eventlet.spawn(
        wsgi.server,
        listener,
        app,
        log_output=False,
        protocol=SwiftHttpProtocol,
        capitalize_response_headers=False,
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
