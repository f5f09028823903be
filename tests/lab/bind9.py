# SPDX-License-Identifier: Apache-2.0
"""BIND's named as one more server of the lab's internet, with the zone that unbound has. Started by the tests that want it.

Knows internet.py only by what it offers there: copies of programs, processes, the zone file.
"""
from internet import Internet

BIND, BIND6 = "203.0.113.57", "2001:db8:53::57"


def configuration(directory: str) -> str:
    """Everything in the lab's directory, no control channel, no name server but itself."""
    return f"""options {{
  directory "{directory}";
  pid-file "{directory}/named.pid";
  session-keyfile none;
  listen-on port 53 {{ {BIND}; }};
  listen-on-v6 port 53 {{ {BIND6}; }};
  allow-query {{ any; }};
  recursion no;
  dnssec-validation no;
  empty-zones-enable no;
  check-names primary ignore;
  max-records-per-type 0;
}};
controls {{ }};
zone "test" {{ type primary; file "test.zone"; }};
"""


def start(internet: Internet) -> None:
    for address in (BIND, BIND6):
        internet.netns.add_address(f"{address}/{128 if ':' in address else 32}", "lo")
    file = internet.directory / "named.conf"
    file.write_text(configuration(str(internet.directory)))
    internet.start("named", internet.copy("named"), "-g", "-n", "1", "-c", str(file))
    internet.wait_for("named", f"{BIND}:53")
