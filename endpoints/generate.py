#!/usr/bin/env python3
"""Writes src/endpoint/table.rs: which service answers at a host, by the labels before its region.

    pip install -r requirements.txt
    python generate.py            write the table
    python generate.py --check    write nothing; exit 1 if the table differs from what would be written

botocore's endpoint rules are asked for the host and the scope of each service in each region, with FIPS
and dual stack or without. What is regular in the answers is left to the matcher, which knows regions by
their shape, partitions by their domain, `-fips` and `dualstack` by their names. What remains is a row for
each service, short for most. Hosts that no model has are listed at the head of this file.

The order of this file: what no model says, what botocore says, the rows, the writing.
"""

import argparse
import collections
import itertools
import re
import sys
from pathlib import Path
from urllib.parse import urlsplit

import botocore
import botocore.client
import botocore.config
import botocore.endpoint_provider
import botocore.session

TABLE = Path(__file__).resolve().parent.parent / "src/endpoint/table.rs"

# --------------------------------------------------------------------------------------------
# What no model says
# --------------------------------------------------------------------------------------------

# Hosts by the labels before their region: the name signed where nothing stands in front, and the one
# where a bucket or an identifier does.
PUBLISHED = {
    # Data planes, each behind an identifier.
    "appsync-api": (None, "appsync"),
    "appsync-realtime-api": (None, "appsync"),
    "data.mediastore": ("mediastore", "mediastore"),
    "execute-api": ("execute-api", "execute-api"),
    "gateway.bedrock-agentcore": (None, "bedrock-agentcore"),
    "iot": ("iot", "iotdata"),
    "jobs.iot": (None, "iot-jobs-data"),
    "kafka": ("kafka", "kafka-cluster"),
    "kafka-serverless": (None, "kafka-cluster"),
    "kinesisvideo": ("kinesisvideo", "kinesisvideo"),
    "mediaconvert": ("mediaconvert", "mediaconvert"),
    "timestream": (None, "timestream"),
    # In China RDS and Neptune write the region behind their name.
    "neptune": (None, "neptune-db"),
    "rds": ("rds", "rds-db"),
    # S3 in its forms.
    "accesspoint.s3-global": (None, "s3"),
    "s3": ("s3", "s3"),
    "s3-accelerate": ("s3", "s3"),
    "s3-accesspoint": ("s3", "s3"),
    "s3-external-1": ("s3", "s3"),
    "s3-object-lambda": ("s3-object-lambda", "s3-object-lambda"),
    "s3-outposts": ("s3-outposts", "s3-outposts"),
    "s3express": (None, "s3express"),
    # Hosts that are no operation's first.
    "aps-workspaces": ("aps", None),
    "ecr": ("ecr", None),
    "ecr-public": ("ecr-public", None),
    "ec2messages": ("ec2messages", None),
    "git-codecommit": ("codecommit", None),
    "queue": ("sqs", None),
    "ssmmessages": ("ssmmessages", None),
    "streaming-logs": ("logs", None),
    "transcribestreaming": ("transcribe", None),
}

# Hosts that write the region in front of the service.
REGION_FIRST = {
    "aoss": (None, "aoss"),
    "cloudsearch": (None, "cloudsearch"),
    "elasticmapreduce": ("elasticmapreduce", None),
    "es": (None, "es"),
    "neptune": (None, "neptune-db"),
    "neptune-graph": ("neptune-graph", "neptune-graph"),
    "opensearch": (None, "opensearch"),
    "osis": (None, "osis"),
    "queue": ("sqs", None),
    "rds": (None, "rds-db"),
}

# Hosts under on.aws, which only these services have.
ON_AWS = {
    "aos": (None, "es"),
    "aoss": (None, "aoss"),
    "dsql": (None, "dsql"),
    "lambda-url": (None, "lambda"),
    "vpc-lattice-svcs": (None, "vpc-lattice-svcs"),
}

# Hosts of two services, which the path tells apart: before the first `/` behind what is given here, or
# at the end of the path.
PATHS = {
    "iot": ("/mqtt", "iotdevicegateway"),
    "maps.geo": ("/maps/v0", "geo"),
    "places.geo": ("/places/v0", "geo"),
    "routes.geo": ("/routes/v0", "geo"),
}

# What stands behind these hosts takes no signature.
UNSIGNED = {
    "credentials.iot": "clients of the credentials provider show a certificate",
    "dkr.ecr": "clients of the registry show a token of the API at api.ecr",
    "email-smtp": "clients speak SMTP, with a password made of the secret",
    "s3-website": "website endpoints take no signed requests; the REST endpoint does",
}

# Services that older clients ask at a host without a region, in this partition and for its own region …
FORMER_GLOBALS = {
    "global.health": "aws-us-gov",
    "organizations": "aws",
    "queue": "aws",
    "s3-external-1": "aws",
    "shield": "aws",
    "support": "aws",
}

# … or for another.
GLOBAL_ELSEWHERE = {"globalaccelerator.amazonaws.com": ["us-west-2"]}

# A request to CodeCatalyst carries a bearer token. botocore, asked for a signature, would take whatever
# region the client was made for, so these are those of the clients that are made most.
BEARER = {
    "codecatalyst.global.api.aws": ["aws-global", "us-gov-west-1"],
    "codecatalyst.global.api.amazonwebservices.com.cn": ["cn-north-1"],
}

# --------------------------------------------------------------------------------------------
# What botocore says
# --------------------------------------------------------------------------------------------

Answer = collections.namedtuple("Answer", "host name region partition of_set")


class Models:
    def __init__(self):
        session = botocore.session.Session()
        self.loader = session.get_component("data_loader")
        self.resolver = session.get_component("endpoint_resolver")
        self.partitions = self.loader.load_data("partitions")
        self.services = self.loader.list_available_services("service-2")

    def model(self, service):
        return self.loader.load_service_model(service, "service-2")

    def rules(self, service):
        return self.loader.load_service_model(service, "endpoint-rule-set-1")

    def signing_name(self, service):
        metadata = self.model(service)["metadata"]
        return metadata.get("signingName") or metadata["endpointPrefix"]

    def legacy(self, service, region, fips, dual_stack):
        """What a client signs where the rules leave it open."""
        metadata = self.model(service)["metadata"]
        config = botocore.config.Config(use_fips_endpoint=fips, use_dualstack_endpoint=dual_stack)
        bridge = botocore.client.ClientEndpointBridge(
            self.resolver, {}, config, service_signing_name=metadata.get("signingName")
        )
        try:
            resolved = bridge.resolve(metadata["endpointPrefix"], region)
        except botocore.exceptions.EndpointVariantError:
            return self.signing_name(service), region
        return resolved["signing_name"], resolved["signing_region"]

    def answers(self, service):
        """A client's first host and scope, in each region and variant."""
        rules = self.rules(service)
        provider = botocore.endpoint_provider.EndpointProvider(rules, self.partitions)
        for partition in self.partitions["partitions"]:
            for region, fips, dual_stack in itertools.product(
                partition["regions"], [False, True], [False, True]
            ):
                given = {"Region": region, "UseFIPS": fips, "UseDualStack": dual_stack}
                given = {name: given[name] for name in given if name in rules["parameters"]}
                try:
                    endpoint = provider.resolve_endpoint(**given)
                except botocore.exceptions.EndpointProviderError:
                    continue
                host = urlsplit(endpoint.url).hostname
                # A region that is none, as aws-global, names no host.
                if region.endswith("-global") and region in host:
                    continue
                schemes = endpoint.properties.get("authSchemes", [])
                schemes = {scheme["name"]: scheme for scheme in schemes}
                scheme = schemes.get("sigv4", {})
                name, signed = scheme.get("signingName"), scheme.get("signingRegion")
                if name is None or signed is None:
                    legacy = self.legacy(service, region, fips, dual_stack)
                    name, signed = name or legacy[0], signed or legacy[1]
                # Where a partition does not have a service, botocore answers as in another.
                foreign = signed not in partition["regions"]
                if not foreign:
                    yield Answer(host, name, signed, partition["id"], False)

    def templates(self, service):
        """Every host of a service's rules with the name that is signed, parameters in braces."""
        default = self.signing_name(service)
        values = {
            parameter["value"]
            for operation in self.model(service)["operations"].values()
            for key, parameter in operation.get("staticContextParams", {}).items()
            if key == "OperationType"
        }

        def walk(node):
            if isinstance(node, list):
                for child in node:
                    yield from walk(child)
            elif isinstance(node, dict):
                endpoint = node.get("endpoint")
                url = endpoint.get("url") if isinstance(endpoint, dict) else None
                if isinstance(url, str) and url.startswith("https://"):
                    schemes = endpoint.get("properties", {}).get("authSchemes", [])
                    schemes = [s for s in schemes if s["name"] in ("sigv4", "sigv4a")]
                    first = schemes[0] if schemes else {}
                    of_set = bool(schemes) and all(s["name"] == "sigv4a" for s in schemes)
                    yield url.removeprefix("https://").split("/")[0], first.get("signingName", default), of_set
                for child in node.values():
                    yield from walk(child)

        for host, name, of_set in walk(self.rules(service)):
            for value in sorted(values) if "{OperationType}" in host else [""]:
                yield host.replace("{OperationType}", value), name, of_set

    def prefixes(self, service):
        """What operations write in front of the host."""
        operations = self.model(service)["operations"].values()
        prefixes = {operation.get("endpoint", {}).get("hostPrefix") for operation in operations}
        return sorted(prefixes - {None})


# --------------------------------------------------------------------------------------------
# The rows
# --------------------------------------------------------------------------------------------

IS_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+){1,3}-[0-9]{1,2}")


class Row:
    def __init__(self):
        self.alone = self.behind = self.unsigned = self.path = None
        self.of_set = False
        self.elsewhere = {}  # the partitions in which another name is signed
        self.globals = set()  # the partitions in which a host without region is the partition's
        self.pinned = set()  # the partitions in which a region in the host is not the one signed


def plain(label):
    return label.removesuffix("-fips")


class Table:
    def __init__(self, models):
        self.partitions = {p["id"]: p["outputs"] for p in models.partitions["partitions"]}
        # `^us\\-gov\\-\\w+\\-\\d+$` begins with us-gov-; aws has whatever no other has.
        self.prefixes = {
            p["id"]: re.match(r"\^((?:[a-z]+\\-)*)", p["regionRegex"])[1].replace("\\", "")
            for p in models.partitions["partitions"]
        }
        self.rows = collections.defaultdict(Row)
        self.region_first = collections.defaultdict(Row)
        self.on_aws = collections.defaultdict(Row)
        self.regions = {}  # of whole hosts without one of their own
        self.suffixes = {}
        self.signin = {}
        for partition, outputs in self.partitions.items():
            for key in ("dnsSuffix", "dualStackDnsSuffix"):
                # aws comes first and lends its domains to aws-us-gov.
                self.suffixes.setdefault(outputs[key], partition)
                on = outputs[key].removeprefix("api.")
                if on != outputs[key]:
                    self.suffixes.setdefault("on." + on, partition)
        answers, templates, prefixes = collections.defaultdict(set), [], []
        for service in models.services:
            metadata = models.model(service)["metadata"]
            # botocore's default, where rules want to know more than a region.
            self.name(self.rows, metadata["endpointPrefix"], "alone", models.signing_name(service))
            own = list(models.answers(service))
            for answer in own:
                answers[answer.host].add(answer)
            templates += models.templates(service)
            prefixes += [(own[0], prefix) for prefix in models.prefixes(service)] if own else []
        self.add_answers(answers)
        for host, name, of_set in templates:
            self.add_template(host, name, of_set)
        for answer, prefix in prefixes:
            self.add_prefix(answer, prefix)
        for rows, published in (
            (self.rows, PUBLISHED),
            (self.region_first, REGION_FIRST),
            (self.on_aws, ON_AWS),
        ):
            for labels, (alone, behind) in published.items():
                for place, name in (("alone", alone), ("behind", behind)):
                    if name:
                        self.name(rows, labels, place, name)
        for labels, path in PATHS.items():
            self.rows[labels].path = path
        for labels, reason in UNSIGNED.items():
            self.rows[labels].unsigned = reason
        self.rows["accesspoint.s3-global"].of_set = True
        for labels, partition in FORMER_GLOBALS.items():
            self.rows[labels].globals.add(partition)
        for host, regions in (GLOBAL_ELSEWHERE | BEARER).items():
            for host in (host, host.replace(".", "-fips.", 1)):
                self.regions[host] = regions

    def name(self, rows, labels, place, name):
        row = rows[labels]
        if getattr(row, place) not in (None, name):
            if PATHS.get(labels, (None, None))[1] == name:
                return
            sys.exit(f"{labels} is signed as {getattr(row, place)} and as {name}: PATHS does not tell which")
        setattr(row, place, name)

    def suffix(self, host):
        fits = [suffix for suffix in self.suffixes if host.endswith("." + suffix)]
        return max(fits, key=len, default=None)

    def parts(self, host):
        """The labels before the region, the region if there is one, and the domain."""
        suffix = self.suffix(host)
        labels = [plain(l) for l in host.removesuffix("." + suffix).split(".")]
        labels = [label for label in labels if label not in ("fips", "dualstack")]
        if labels[-1] in ("global", "us-gov"):
            del labels[-1]
        if len(labels) > 1 and IS_REGION.fullmatch(labels[-1]):
            return ".".join(labels[:-1]), labels[-1], suffix
        return ".".join(labels), None, suffix

    def add_answers(self, answers):
        for host, scopes in sorted(answers.items()):
            if self.suffix(host) is None or ".signin." in host:
                continue  # which the templates tell
            labels, region, suffix = self.parts(host)
            for scope in sorted(scopes):
                row = self.rows[labels]
                if row.alone not in (None, scope.name):
                    row.elsewhere[scope.partition] = scope.name
                else:
                    row.alone = scope.name
                if region is None:
                    row.globals.add(scope.partition)
                elif region != scope.region:
                    if scope.region != self.partitions[scope.partition]["implicitGlobalRegion"]:
                        sys.exit(f"{host} is signed for {scope.region}: there is no rule for that")
                    row.pinned.add(scope.partition)
            if region is None:
                regions = sorted({scope.region for scope in scopes})
                partition = "aws-us-gov" if ".us-gov." in host else self.suffixes[suffix]
                if regions != [self.partitions[partition]["implicitGlobalRegion"]]:
                    self.regions[host] = regions

    def add_template(self, host, name, of_set):
        host = re.sub(r"\{(PartitionResult|partitionResult|\w*[pP]artition)#dnsSuffix\}", "amazonaws.com", host)
        host = re.sub(r"\{(PartitionResult|partitionResult|\w*[pP]artition)#dualStackDnsSuffix\}", "api.aws", host)
        host = re.sub(r"\{[\w#]*[rR]egion\}", "us-east-1", host)
        if ".signin." in host.replace("-fips", ""):
            return self.add_signin(host)
        suffix = self.suffix(host)
        if suffix is None or "Suffix" in host or "s3express-{" in host:
            return  # an endpoint of the caller's; a form that the matcher knows
        labels = [plain(l) for l in host.removesuffix("." + suffix).split(".")]
        labels = [label for label in labels if label not in ("fips", "dualstack", "global", "us-gov")]
        front = list(itertools.takewhile(lambda label: "{" in label, labels))
        labels = labels[len(front):]
        if labels in ([], ["us-east-1"]) or any("{" in label for label in labels):
            return
        rows = self.on_aws if suffix.startswith("on.") else self.rows
        if labels[0] == "us-east-1":
            rows, labels = self.region_first, labels[1:]
        elif len(labels) > 1 and IS_REGION.fullmatch(labels[-1]):
            labels = labels[:-1]
        labels = ".".join(labels)
        place = "behind" if front else "alone"
        # What the rules leave open is known better from the answers.
        if rows is self.rows and (labels in PUBLISHED or not front and labels in rows):
            return
        self.name(rows, labels, place, name)
        rows[labels].of_set |= of_set

    def add_signin(self, host):
        """signin has domains of its own."""
        suffix = self.suffix(host)
        if not host.startswith("us-east-1.") or suffix:
            if suffix and host.startswith("us-east-1."):
                self.region_first["signin"].alone = "signin"
            return
        domain = host.removeprefix("us-east-1.")
        by_domain = {
            "aws.amazon.com": "aws",
            "aws": "aws",
            "amazonaws.cn": "aws-cn",
            "amazonaws-us-gov.com": "aws-us-gov",
            "amazonaws-eusc.eu": "aws-eusc",
            "c2shome.ic.gov": "aws-iso",
            "sc2shome.sgov.gov": "aws-iso-b",
            "csphome.adc-e.uk": "aws-iso-e",
            "csphome.hci.ic.gov": "aws-iso-f",
        }
        self.signin[domain] = by_domain[re.sub(r"^(oauth\.)?signin(-fips)?\.", "", domain)]

    def add_prefix(self, answer, prefix):
        """What an operation writes in front of its service's hosts, of which this is one."""
        labels, _, _ = self.parts(answer.host)
        behind = prefix.startswith("{")
        if not behind:
            self.name(self.rows, prefix + labels, "alone", answer.name)
        elif labels not in PUBLISHED:
            self.name(self.rows, labels, "behind", answer.name)


# --------------------------------------------------------------------------------------------
# The writing
# --------------------------------------------------------------------------------------------

VARIANTS = {
    "aws": "Aws", "aws-cn": "AwsCn", "aws-eusc": "AwsEusc", "aws-iso": "AwsIso", "aws-iso-b": "AwsIsoB",
    "aws-iso-e": "AwsIsoE", "aws-iso-f": "AwsIsoF", "aws-us-gov": "AwsUsGov",
}


def by_last_label(labels):
    return labels.rsplit(".", 1)[-1], labels


def quoted(text):
    return f'"{text}"'


def variants(partitions):
    if set(partitions) == set(VARIANTS):
        return "&EVERYWHERE"
    return "&[" + ", ".join(VARIANTS[p] for p in sorted(partitions)) + "]"


def row(labels, row):
    if row.unsigned:
        return f"    unsigned({quoted(labels)}, {quoted(row.unsigned)}),\n"
    if row.alone == labels:
        text = f"api({quoted(labels)})"
    elif row.alone:
        text = f"api({quoted(labels)}).signs({quoted(row.alone)})"
    else:
        text = f"behind({quoted(labels)}, {quoted(row.behind)})"
    if row.alone and row.behind:
        text += f".behind({quoted(row.behind)})"
    if row.path:
        text += ".at({}, {})".format(*map(quoted, row.path))
    for name, partitions in sorted(grouped(row.elsewhere).items()):
        text += f".signs_in({variants(partitions)}, {quoted(name)})"
    if row.globals:
        text += f".global_in({variants(row.globals)})"
    if row.pinned:
        text += f".pinned_in({variants(row.pinned)})"
    if row.of_set:
        text += ".of_set()"
    return f"    {text},\n"


def grouped(mapping):
    groups = collections.defaultdict(set)
    for key, value in mapping.items():
        groups[value].add(key)
    return groups


def table(name, doc, rows):
    lines = "".join(row(labels, rows[labels]) for labels in sorted(rows, key=by_last_label))
    return f"{doc}#[rustfmt::skip]\npub(super) static {name}: [Service; {len(rows)}] = [\n{lines}];\n"


def written(t):
    suffixes = [(s, p, False) for s, p in t.suffixes.items()] + [(s, p, True) for s, p in t.signin.items()]
    # A domain comes before those that end like it.
    suffixes.sort(key=lambda suffix: (suffix[0].split(".")[::-1], suffix[0]), reverse=True)
    # The domains that almost all hosts have come first; none of the others ends like them.
    common = ["amazonaws.com", "api.aws", "on.aws"]
    suffixes.sort(key=lambda suffix: common.index(suffix[0]) if suffix[0] in common else len(common))
    out = f"""//! The endpoints of AWS: what a host's domain and labels stand for.
//!
//! Written by `python3 endpoints/generate.py` out of the models of botocore {botocore.__version__}; do not edit.

use super::{{
    partition::{{
        Area,
        Partition::{{self, {", ".join(VARIANTS.values())}}},
    }},
    service::{{Domain, Service, api, behind, unsigned}},
}};

#[rustfmt::skip]
const EVERYWHERE: [Partition; {len(VARIANTS)}] = [{", ".join(VARIANTS.values())}];

/// The domains of AWS. One that ends like another comes before it.
#[rustfmt::skip]
pub(super) static DOMAINS: [Domain; {len(suffixes)}] = [
"""
    for suffix, partition, is_signin in suffixes:
        kind = "signin" if is_signin else "on_aws" if suffix.startswith("on.") else "of"
        out += f"    Domain::{kind}({quoted(suffix)}, {VARIANTS[partition]}),\n"
    out += "];\n\n"
    out += f"/// The partitions, in the order of their variants.\n"
    out += f"#[rustfmt::skip]\npub(super) static PARTITIONS: [Area; {len(VARIANTS)}] = [\n"
    for partition, variant in VARIANTS.items():
        outputs = t.partitions[partition]
        fields = {
            "name": partition,
            "regions": t.prefixes[partition],
            "global_region": outputs["implicitGlobalRegion"],
            "dns_suffix": outputs["dnsSuffix"],
            "dual_stack_suffix": outputs["dualStackDnsSuffix"],
        }
        fields = ", ".join(f"{name}: {quoted(value)}" for name, value in fields.items())
        out += f"    Area {{ partition: {variant}, {fields} }},\n"
    out += "];\n\n"
    out += """/// The regions that are signed at hosts without one, where it is not the partition's.
#[rustfmt::skip]
pub(super) static REGIONS: [(&str, &[&str]); """ + f"{len(t.regions)}] = [\n"
    for host, regions in sorted(t.regions.items()):
        out += f"    ({quoted(host)}, &[{', '.join(map(quoted, regions))}]),\n"
    out += "];\n\n"
    out += table("SERVICES", "/// The services by the labels before the region, sorted by the last label.\n", t.rows)
    out += "\n" + table("REGION_FIRST", "/// The services that write the region in front.\n", t.region_first)
    out += "\n" + table("ON_AWS", "/// The services under `on.aws`.\n", t.on_aws)
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    check = parser.parse_args().check
    text = written(Table(Models()))
    if not check:
        TABLE.write_text(text)
    elif TABLE.read_text() != text:
        sys.exit(f"{TABLE} is not what its generator writes")


if __name__ == "__main__":
    main()
