"""The page of `countersign listen --ui`, in a real headless Chromium.

Sends requests that `countersign sign` signed, some altered on the way and some hostile, and looks at
what a user of the page sees: the list, by keyboard and by mouse, what differs, and that nothing in a
request becomes markup or script.
"""

import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from checks import BINARY, SECONDS, Checks, Credentials, clean_environment, run, text

KEY = Credentials("ASIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "FwoGZXIvYXdzEJr//+/=TOKEN")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1280,900",
]  # fmt: skip
HOSTILE = "/<img src=x onerror=document.title='owned'><script>document.title='owned'</script>"
AXE = "&\"'<b>&amp;"


@contextmanager
def listening(home: Path):
    """The listener's address and its page's."""
    environment = clean_environment(home) | KEY.environment()
    command = [BINARY, "listen", "127.0.0.1:0", "--json", "--ui"]
    with open(home / "verdicts", "wb") as verdicts, open(home / "verdicts", "rb") as first:
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=verdicts)
        try:
            line = b""
            while not line.endswith(b"\n"):
                assert process.poll() is None, f"listen ended with {process.returncode}"
                line += first.readline()
            started = json.loads(line)
            yield started["listening"], started["page"]
        finally:
            process.terminate()
            assert process.wait(SECONDS) == 0, f"listen ended with {process.returncode}"


@contextmanager
def chromium(home: Path):
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for flag in [*FLAGS, f"--user-data-dir={home / 'profile'}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        yield driver
    finally:
        driver.quit()


class Client:
    """Sends requests to the listener."""

    def __init__(self, home: Path, url: str):
        self.environment = clean_environment(home) | KEY.environment()
        self.url = url

    def signed(self, target: str, service: str = "execute-api") -> dict:
        """The headers that sign a GET."""
        command = [BINARY, "sign", self.url + target, "--service", service, "--region", "eu-west-1"]
        done = run([*command, "--output", "json"], self.environment)
        assert done.returncode == 0, text(done.stderr)
        return dict(json.loads(done.stdout)["headers"])

    def get(self, target: str, headers: dict, body: bytes | None = None) -> int:
        request = urllib.request.Request(self.url + target, body, headers, method="GET")
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as answer:
                return answer.status
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code

    def raw(self, wire: bytes) -> bytes:
        """Bytes as they are, for what no client would send."""
        address = urlsplit(self.url)
        with socket.create_connection((address.hostname, address.port), SECONDS) as connection:
            connection.sendall(wire)
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b""))


class Page:
    """What a user of the page sees and does."""

    def __init__(self, driver, url: str):
        self.driver = driver
        driver.get(url)

    def one(self, selector: str):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def texts(self, selector: str) -> list:
        # At one moment: requests come and go meanwhile.
        script = "return [...document.querySelectorAll(arguments[0])].map((found) => found.innerText)"
        return self.driver.execute_script(script, selector)

    def wait(self, what, why: str):
        return WebDriverWait(self.driver, SECONDS).until(lambda _: what(), why)

    def wait_for(self, count: int) -> None:
        self.wait(lambda: len(self.all("#requests li")) == count, f"no {count} requests in the list")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.driver.switch_to.active_element.send_keys(key)

    def selected(self) -> list:
        return self.texts('#requests [aria-selected="true"] .what')

    def row(self, table: str, part: str):
        """The cells of a part: what the listener sees, and what the client signed."""
        for row in self.all(f'table[aria-label="{table}"] tbody tr'):
            if row.find_element(By.TAG_NAME, "th").text == part:
                return row.find_elements(By.TAG_NAME, "td")
        raise AssertionError(f"{table} has no row {part}")


def equal(found, wanted) -> None:
    assert found == wanted, f"{found!r}, not {wanted!r}"


def marks(cell) -> list:
    return [mark.text for mark in cell.find_elements(By.TAG_NAME, "mark")]


def contrast(page: Page, selector: str) -> float:
    """The contrast of a text and what lies behind it (WCAG 2.2, 1.4.3)."""
    colours = page.driver.execute_script(
        """let at = document.querySelector(arguments[0]); const text = getComputedStyle(at).color;
        let behind = 'rgba(0, 0, 0, 0)';
        for (; at && behind === 'rgba(0, 0, 0, 0)'; at = at.parentElement) behind = getComputedStyle(at).backgroundColor;
        return [text, behind];""",
        selector,
    )

    def luminance(colour: str) -> float:
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted(map(luminance, colours), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def main() -> None:
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"
    checks = Checks("page")
    with tempfile.TemporaryDirectory(prefix="countersign-page-", ignore_cleanup_errors=True) as directory:
        home = Path(directory)
        with listening(home) as (url, page_url), chromium(home) as driver:
            look(checks, Client(home, url), Page(driver, page_url), home)
    checks.finish()


def look(checks: Checks, client: Client, page: Page, home: Path) -> None:
    with checks.check("an empty page says what to do"):
        equal(page.one("#count").text, "no request yet")
        assert page.one("#hint").is_displayed()
        assert not page.one("#selected").is_displayed()

    with checks.check("requests appear as they come, the newest first"):
        equal(client.get("/good", client.signed("/good")), 200)
        page.wait_for(1)
        equal(client.get("/a%20b?x=2", client.signed("/a%20b?x=2")), 200)
        equal(client.get("/altered?a=1&b=2", client.signed("/altered?b=2&a=1") | {"X-Amz-Date": "20200101T000000Z"}), 403)
        # A client that drops the port from the host that it signs.
        lax = Client(home, f"http://{urlsplit(client.url).hostname}")
        equal(client.get("/port/%C3%A9?b=1&a=2", lax.signed("/port/%C3%A9?b=1&a=2")), 403)
        page.wait_for(4)
        equal(page.texts("#requests .what")[::-1], ["GET /good", "GET /a%20b?x=2", "GET /altered?a=1&b=2", "GET /port/%C3%A9?b=1&a=2"])
        equal(page.one("#count").text, "4 requests, 2 refused")
        equal(page.texts("#requests .result")[::-1][:2], ["accepted"] * 2)
        assert page.texts("#requests .result")[0].startswith("refused 403 SignatureDoesNotMatch")

    with checks.check("the list is reached and walked by keyboard"):
        page.press(Keys.TAB, Keys.TAB)
        focus = page.driver.switch_to.active_element
        equal(focus.get_attribute("id"), "requests")
        equal(focus.get_attribute("role"), "listbox")
        outline = page.driver.execute_script("return getComputedStyle(document.activeElement).outlineStyle")
        equal(outline, "solid")
        equal(page.selected(), [])
        page.press(Keys.ARROW_DOWN)
        equal(page.selected(), ["GET /port/%C3%A9?b=1&a=2"])
        page.press(Keys.END)
        equal(page.selected(), ["GET /good"])
        page.press(Keys.ARROW_UP)
        equal(page.selected(), ["GET /a%20b?x=2"])
        active = page.one("#requests").get_attribute("aria-activedescendant")
        equal(page.one(f"#{active} .what").text, "GET /a%20b?x=2")
        page.press(Keys.HOME)
        equal(page.selected(), ["GET /port/%C3%A9?b=1&a=2"])

    with checks.check("what differs is marked, and the cause said in a sentence"):
        ours, theirs = page.row("Canonical request", "header host")
        port = urlsplit(client.url).port
        equal((ours.text, theirs.text), (f"host:127.0.0.1:{port}", "host:127.0.0.1"))
        equal((marks(ours), marks(theirs)), ([f":{port}"], []))
        ours, theirs = page.row("Canonical request", "path")
        equal((ours.text, marks(ours), marks(theirs)), (theirs.text, [], []))
        ours, theirs = page.row("String to sign", "hash")
        assert marks(ours) and marks(theirs), "the hashes are not marked"
        [cause] = page.texts("#causes li")
        assert cause.startswith("The client signed the host without the port"), cause
        assert page.one("#verdict").text.startswith("refused 403 SignatureDoesNotMatch"), page.one("#verdict").text

    with checks.check("an accepted request shows what was verified"):
        page.press(Keys.END)
        equal(page.one("#verdict").text, "accepted")
        [path] = page.row("Canonical request", "path")
        equal((path.text, marks(path)), ("/good", []))
        equal(page.texts("#causes li"), [])
        assert KEY.access_key_id in page.one("#facts").text

    with checks.check("a request is selected by mouse, and stays so when others come"):
        page.all("#requests li")[1].click()
        equal(page.selected(), ["GET /altered?a=1&b=2"])
        equal(client.get("/later", client.signed("/later")), 200)
        page.wait_for(5)
        equal(page.selected(), ["GET /altered?a=1&b=2"])
        equal(page.one("#title").text, "GET /altered?a=1&b=2")

    with checks.check("of another body both hashes are shown"):
        equal(client.get("/body", client.signed("/body", "s3"), b"not what was signed"), 400)
        page.wait_for(6)
        page.all("#requests li")[0].click()
        hashes = page.texts("#facts dd")[-2:]
        equal(hashes, [hashlib.sha256(b"not what was signed").hexdigest(), hashlib.sha256(b"").hexdigest()])

    with checks.check("refused requests can be shown alone"):
        page.one("#refused-only").click()
        page.wait_for(3)
        page.one("#refused-only").click()
        page.wait_for(6)

    with checks.check("nothing in a request becomes markup or script"):
        headers = "".join(f"{name}: {value}\r\n" for name, value in client.signed("/x").items())
        host = urlsplit(client.url).netloc
        evil = f"X-Evil: {HOSTILE}\r\n"
        signed = headers.replace("SignedHeaders=", "SignedHeaders=x-evil;")
        wire = f"GET {HOSTILE} HTTP/1.1\r\nHost: {host}\r\n{evil}{signed}\r\n"
        assert b" 403 " in client.raw(wire.encode()).split(b"\r\n")[0]
        client.raw(f"<b>{AXE} {AXE} HTTP/1.1\r\nHost: {AXE}\r\n\r\n".encode())
        page.wait_for(8)
        for item in page.all("#requests li")[:2]:
            item.click()
            assert "<" in page.one("#title").text, page.one("#title").text
        assert HOSTILE in page.one("#title").text
        header = page.row("Canonical request", "header x-evil")[0]
        equal(header.text, f"x-evil:{HOSTILE}")
        equal(page.all("main img, main script, main b, header img"), [])
        equal(page.driver.title, "countersign listen")

    with checks.check("neither the secret nor the token is on the page"):
        with urllib.request.urlopen(page.driver.current_url + "requests?after=0", timeout=SECONDS) as answer:
            told = text(answer.read())
        for hidden in (KEY.secret_access_key, KEY.session_token):
            assert hidden not in told + page.driver.page_source

    with checks.check("light and dark are both readable"):
        for scheme in ("light", "dark"):
            feature = {"name": "prefers-color-scheme", "value": scheme}
            page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
            page.all("#requests li")[4].click()
            for selector in ("#title", "#verdict", "#count", "#causes li", "#facts dt", "td mark", "tbody th", ".result"):
                ratio = contrast(page, selector)
                assert ratio >= 4.5, f"{scheme}: {selector} has a contrast of {ratio:.1f}"
        page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})

    with checks.check("a name that is not this machine's is refused"):
        request = urllib.request.Request(page.driver.current_url, headers={"Host": "rebound.example.com"})
        try:
            urllib.request.urlopen(request, timeout=SECONDS).close()
        except urllib.error.HTTPError as refused:
            with refused:
                equal(refused.code, 403)
        else:
            raise AssertionError("it is answered")

    with checks.check("the last 200 requests are kept"):
        for number in range(205):
            client.raw(f"GET /many/{number} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        page.wait(lambda: page.texts("#requests li:first-child .what") == ["GET /many/204"], "no last request")
        equal(len(page.all("#requests li")), 200)
        assert page.one("#count").text.startswith("the last 200 requests"), page.one("#count").text

    with checks.check("the browser has nothing to complain of"):
        complaints = [entry["message"] for entry in page.driver.get_log("browser") if entry["level"] == "SEVERE"]
        equal(complaints, [])


if __name__ == "__main__":
    main()
