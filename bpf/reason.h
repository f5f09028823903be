/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Why a verdict fell, and what was noticed without one: part of abi.h, and under its rules. */
#pragma once

#ifdef __cplusplus
namespace penstock::abi {
#endif

/* The text names of the reasons are in PS_REASON_NAMES, one list for all. */
enum ps_reason {
    PS_R_NONE = 0,
    /* allowed */
    PS_R_CIDR = 1,        /* an allow rule's CIDR */
    PS_R_LEARNED = 2,     /* an address learned for an allow rule's domain */
    PS_R_DNS_QUERY = 3,   /* a query for an allowed name */
    PS_R_DNS_SESSION = 4, /* a TCP segment without data to or from a resolver's port 53 */
    PS_R_LOOPBACK = 5,
    PS_R_REPLY = 6,          /* an answer to what others opened to us */
    PS_R_OPEN = 7,           /* mode open: birth verdict allow */
    PS_R_INBOUND = 8,        /* ingress, allowed */
    PS_R_DNS_ANSWER = 9,     /* ingress, matched a query */
    PS_R_REVERSE_QUERY = 10, /* PTR name of an address that may be reached */
    /* denied: by policy */
    PS_R_NO_RULE = 20, /* default deny: no rule for this address and port */
    PS_R_DENY_RULE = 21,
    PS_R_NAME_NOT_ALLOWED = 22,
    PS_R_NAME_DENIED = 23,
    PS_R_RESOLVER = 24, /* DNS to an address that is no resolver of the policy */
    PS_R_INBOUND_DENIED = 25,
    PS_R_LOOPBACK_DENIED = 26,
    PS_R_BIRTH = 27,   /* born, and its policy is not known yet */
    PS_R_UNBOUND = 28, /* a row without a policy */
    PS_R_REVERSE_NOT_ALLOWED = 29,
    PS_R_REPLY_DENIED = 30, /* a SYN+ACK although inbound is denied */
    /* denied: packets that hide what they are */
    PS_R_TRUNCATED = 40, /* headers not all there */
    PS_R_FRAGMENT = 41,
    PS_R_IP_OPTIONS = 42,
    PS_R_EXTENSION_HEADER = 43,
    PS_R_PROTOCOL = 44,       /* an IP protocol that no rule can name */
    PS_R_SOURCE_PORT = 45,    /* source port 53 */
    PS_R_SOURCE_ADDRESS = 46, /* a resolver's address as source */
    PS_R_RAW_SOCKET = 47,
    PS_R_SOCKET_FAMILY = 48,
    PS_R_NOT_IP = 49,
    /* denied: DNS messages */
    PS_R_DNS_GSO = 60, /* several datagrams in one buffer: only the first could be judged */
    PS_R_DNS_SHORT = 61,
    PS_R_DNS_RESPONSE = 62, /* response bit set in a query */
    PS_R_DNS_OPCODE = 63,
    PS_R_DNS_QDCOUNT = 64,
    PS_R_DNS_COUNTS = 65, /* answers or authorities in a query, or more than one additional */
    PS_R_DNS_LABEL = 66,  /* over 63 octets, compressed, or an octet that no host name has */
    PS_R_DNS_NAME_LONG = 67,
    PS_R_DNS_TRAILING = 68, /* octets after the question that are no EDNS record */
    PS_R_DNS_FRAMING = 69,  /* TCP: a segment is not a sequence of whole messages */
    PS_R_DNS_CLASS = 70,    /* class is not IN */
    PS_R_DNS_SHARED = 71,   /* in pages that the sender may still change: sendfile, splice, zerocopy */
    /* denied: our own limits */
    PS_R_SCRATCH = 80,
    PS_R_QUERY_STORE = 81,  /* the query could not be recorded */
    PS_R_BUDGET_STORE = 82, /* there was no room to count what a limit allows */
    /* denied: limits of the policy */
    PS_R_EGRESS_RATE = 90,
    PS_R_INGRESS_RATE = 91,
    PS_R_PACKET_RATE = 92,
    PS_R_CONNECTION_RATE = 93,
    PS_R_QUERY_RATE = 94,
    PS_R_QUOTA = 95, /* spent until its window turns */
    /* noticed (verdict none) */
    PS_R_LEARNED_NEW = 100, /* an address was learned */
    PS_R_LEARNED_REFRESH = 101,
    PS_R_LEARNED_PRIVATE = 102, /* not learned: loopback, link-local, private, metadata, multicast */
    PS_R_LEARNED_EVICTED = 103, /* the container's oldest address made room */
    PS_R_LEARNED_FULL = 104,    /* the map is full: not learned */
    PS_R_NAMES_EVICTED = 105,   /* a name made room on an address that too many names share */
    PS_R_QUERY_EVICTED = 106,
    PS_R_ANSWER_UNMATCHED = 107, /* no live query has this server, port, id, name and type */
    PS_R_ANSWER_LOOPBACK = 108,  /* came over lo from a resolver that is not a loopback address */
    PS_R_ANSWER_TRUNCATED = 109, /* TC bit, or longer than is read */
    PS_R_ANSWER_MALFORMED = 110,
    PS_R_ANSWER_LATE = 111,
    PS_R_ANSWER_FAILED = 112, /* RCODE is not 0 */
    PS_R_DOMAIN_EVICTED = 113,
    PS_R_UDP_PEER_EVICTED = 114,
    PS_R_CONNECTION = 115,    /* a connection was begun, or a UDP conversation */
    PS_R_FLOW_UNLOGGED = 116, /* a packet of a flow for which the flow log had no room */
    PS_R_QUOTA_MARK = 117,    /* a quota's mark was passed: in a counter only as PS_UNTOLD */
    PS_R_COUNT = 118,
};

/* One list for every printer: X(enumerator without PS_R_, text name). Text names are API. */
#define PS_REASON_NAMES(X)                                                                                   \
    X(NONE, "none")                                                                                          \
    X(CIDR, "cidr")                                                                                          \
    X(LEARNED, "learned")                                                                                    \
    X(DNS_QUERY, "dns-query")                                                                                \
    X(DNS_SESSION, "dns-session")                                                                            \
    X(LOOPBACK, "loopback")                                                                                  \
    X(REPLY, "reply")                                                                                        \
    X(OPEN, "open")                                                                                          \
    X(INBOUND, "inbound")                                                                                    \
    X(DNS_ANSWER, "dns-answer")                                                                              \
    X(REVERSE_QUERY, "reverse-query")                                                                        \
    X(NO_RULE, "no-rule")                                                                                    \
    X(DENY_RULE, "deny-rule")                                                                                \
    X(NAME_NOT_ALLOWED, "name-not-allowed")                                                                  \
    X(NAME_DENIED, "name-denied")                                                                            \
    X(RESOLVER, "resolver")                                                                                  \
    X(INBOUND_DENIED, "inbound-denied")                                                                      \
    X(LOOPBACK_DENIED, "loopback-denied")                                                                    \
    X(BIRTH, "birth")                                                                                        \
    X(UNBOUND, "unbound")                                                                                    \
    X(REVERSE_NOT_ALLOWED, "reverse-not-allowed")                                                            \
    X(REPLY_DENIED, "reply-denied")                                                                          \
    X(TRUNCATED, "truncated")                                                                                \
    X(FRAGMENT, "fragment")                                                                                  \
    X(IP_OPTIONS, "ip-options")                                                                              \
    X(EXTENSION_HEADER, "extension-header")                                                                  \
    X(PROTOCOL, "protocol")                                                                                  \
    X(SOURCE_PORT, "source-port")                                                                            \
    X(SOURCE_ADDRESS, "source-address")                                                                      \
    X(RAW_SOCKET, "raw-socket")                                                                              \
    X(SOCKET_FAMILY, "socket-family")                                                                        \
    X(NOT_IP, "not-ip")                                                                                      \
    X(DNS_GSO, "dns-gso")                                                                                    \
    X(DNS_SHORT, "dns-short")                                                                                \
    X(DNS_RESPONSE, "dns-response")                                                                          \
    X(DNS_OPCODE, "dns-opcode")                                                                              \
    X(DNS_QDCOUNT, "dns-qdcount")                                                                            \
    X(DNS_COUNTS, "dns-counts")                                                                              \
    X(DNS_LABEL, "dns-label")                                                                                \
    X(DNS_NAME_LONG, "dns-name-long")                                                                        \
    X(DNS_TRAILING, "dns-trailing")                                                                          \
    X(DNS_FRAMING, "dns-framing")                                                                            \
    X(DNS_CLASS, "dns-class")                                                                                \
    X(DNS_SHARED, "dns-shared-pages")                                                                        \
    X(SCRATCH, "scratch")                                                                                    \
    X(QUERY_STORE, "query-store")                                                                            \
    X(LEARNED_NEW, "learned-new")                                                                            \
    X(LEARNED_REFRESH, "learned-refresh")                                                                    \
    X(LEARNED_PRIVATE, "learned-private")                                                                    \
    X(LEARNED_EVICTED, "learned-evicted")                                                                    \
    X(LEARNED_FULL, "learned-full")                                                                          \
    X(NAMES_EVICTED, "names-evicted")                                                                        \
    X(QUERY_EVICTED, "query-evicted")                                                                        \
    X(ANSWER_UNMATCHED, "answer-unmatched")                                                                  \
    X(ANSWER_LOOPBACK, "answer-loopback")                                                                    \
    X(ANSWER_TRUNCATED, "answer-truncated")                                                                  \
    X(ANSWER_MALFORMED, "answer-malformed")                                                                  \
    X(ANSWER_LATE, "answer-late")                                                                            \
    X(ANSWER_FAILED, "answer-failed")                                                                        \
    X(DOMAIN_EVICTED, "domain-evicted")                                                                      \
    X(UDP_PEER_EVICTED, "udp-peer-evicted")                                                                  \
    X(BUDGET_STORE, "budget-store")                                                                          \
    X(EGRESS_RATE, "egress-rate")                                                                            \
    X(INGRESS_RATE, "ingress-rate")                                                                          \
    X(PACKET_RATE, "packet-rate")                                                                            \
    X(CONNECTION_RATE, "connection-rate")                                                                    \
    X(QUERY_RATE, "query-rate")                                                                              \
    X(QUOTA, "quota")                                                                                        \
    X(CONNECTION, "connection")                                                                              \
    X(FLOW_UNLOGGED, "flow-unlogged")                                                                        \
    X(QUOTA_MARK, "quota-mark")

#ifdef __cplusplus
/* A limit of the policy denied it. */
constexpr bool is_limit(unsigned reason) {
    return reason >= PS_R_EGRESS_RATE && reason <= PS_R_QUOTA;
}
} // namespace penstock::abi
#endif
