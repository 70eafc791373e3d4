// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * DNS queries, by the names that they ask for, and by the program that sent them. Loaded when a policy has such rules.
 *
 * Judged is the packet as it leaves, so nothing can change it any more, and however it was sent: UDP and TCP of IPv4 and
 * IPv6, connected or not, to port 53 of any resolver. A container's own firewall may have changed the port by then (a
 * runtime's built-in resolver), so the port counts that the program named, too. What should be a query and can't be read
 * is refused where the policy could refuse it: what is cut, in fragments, compressed, or in memory that its sender can still write.
 *
 * A stream may put its messages anywhere into its segments. Who asks for names sends a message at once, so one that does not
 * lie in its segment up to its question's end is refused as unreadable; where the next begins is known from the connection's start.
 *
 * Not seen, and said so where policies are checked: DNS over TLS and HTTPS, other ports, multicast DNS. Known holes: packet
 * sockets, whose packets pass by here; what leaves encrypted by IPsec; under cgroup v1 what no sendmsg sent.
 */
#include "query.bpf.h"
#include "sender.bpf.h"

#define PASS 1
#define REFUSE 0

#define ETHERTYPE_IP 0x0800
#define IP_FRAGMENT_BITS 0x3fff /* "more fragments", and the offset */
#define UDP_HEADER_BYTES 8
#define TCP_HEADER_BYTES 20
#define IPV6_HEADER_BYTES 40
/* Header of a message. */
#define DNS_HEADER_BYTES 12
#define DNS_RESPONSE 0x8000
/* More are never asked at once. */
#define QUESTIONS_MAX 4
#define MESSAGES_MAX 8
#define EXTENSIONS_MAX 8
/* Deepest cgroup that is looked for. */
#define CGROUP_LEVELS_MAX 32

/* SKBFL_ZEROCOPY_ENABLE and SKBFL_SHARED_FRAG of include/linux/skbuff.h: others can write the packet's memory. */
#define SHARED_MEMORY 3

/* Where IPv6 puts something between its header and the packet's. */
#define NEXT_HOP_BY_HOP 0
#define NEXT_ROUTING 43
#define NEXT_FRAGMENT 44
#define NEXT_AUTHENTICATION 51
#define NEXT_DESTINATION 60
#define NEXT_MOBILITY 135

/* A packet under judgement, and what a decision about it tells. */
struct asking {
	struct alert_kind kind; /* `exe` is the sender's program, where it is known */
	__u32 is_known;
	__u32 is_lenient; /* it may be no query at all: what can't be read passes */
	__u32 start; /* where the name lies in the packet */
	__u32 bytes; /* 0: it could not be read */
	__u32 image_flags;
	struct name_state name;
};

struct query_record {
	struct decision_event event;
	char name[QUERY_NAME_BYTES];
	char cwd[SENDER_CWD_BYTES];
};

static __always_inline struct sender *sender_of(struct __sk_buff *skb, __u64 flags)
{
	struct bpf_sock *sk = skb->sk;

	if (!sk)
		return NULL;
	sk = bpf_sk_fullsock(sk);
	return sk ? bpf_sk_storage_get(&senders, sk, NULL, flags) : NULL;
}

struct level_search {
	struct __sk_buff *skb;
	__u64 container;
};

static long search_level(__u32 index, struct level_search *search)
{
	__u64 id = bpf_skb_ancestor_cgroup_id(search->skb, index + 1);

	if (!id)
		return 1;
	__u32 *container = bpf_map_lookup_elem(&cgroups, &id);

	/* The innermost counts, as of tasks. */
	if (container)
		search->container = *container;
	return 0;
}

/* The container in whose cgroup the socket was made; 0: none. */
static __always_inline __u32 container_by_cgroup(struct __sk_buff *skb)
{
	struct level_search search = { .skb = skb };

	if (settings.cgroup_controller == CGROUP_UNIFIED)
		repeat(CGROUP_LEVELS_MAX, search_level, &search);
	return search.container;
}

/* Who sent the packet. `to_dns`: by its own port. Returns the container; 0: none, or one that has no such rules. */
static __always_inline __u32 find_sender(struct __sk_buff *skb, struct asking *asking, __u32 to_dns)
{
	struct sender *sender = sender_of(skb, 0);
	__u32 container = 0;

	if (sender && sender->container) {
		container = sender->container;
		asking->is_known = !sender->is_shared;
		asking->kind.exe = asking->is_known ? sender->exe : 0;
		asking->is_lenient = !to_dns && sender->elsewhere;
	} else if (to_dns) {
		container = container_by_cgroup(skb);
	}
	asking->kind.container = container;
	return container && any_live(container, OP(OP_NETWORK)) ? container : 0;
}

/* ---- records ----------------------------------------------------------------------------------------------------- */

/* Returns the record's bytes; 0 when the ring has no room. Global: verified once. */
__noinline int emit_query(struct __sk_buff *skb, struct asking *asking, __u64 suppressed)
{
	struct sender *sender = sender_of(skb, 0);

	if (!asking)
		return 0;
	struct query_record *record = reserve_record(ring_alerts, struct query_record);

	if (!record)
		return 0;
	__builtin_memset(&record->event, 0, sizeof(record->event));
	__builtin_memset(record->name, 0, sizeof(record->name));
	if (sender && sender->container) {
		__u32 bytes = sender->cwd_bytes;

		record->event.header = sender->header;
		if (bytes <= SENDER_CWD_BYTES && !bpf_probe_read_kernel(record->cwd, SENDER_CWD_BYTES, sender->cwd))
			record->event.cwd_bytes = bytes;
	}
	record->event.header.type = EVENT_DECISION;
	record->event.header.flags = refuses(asking->kind.verdict) ? EVENT_DENIED : 0;
	record->event.header.container = asking->kind.container;
	record->event.header.time_ns = bpf_ktime_get_boot_ns();
	record->event.kind = asking->kind;
	record->event.suppressed = suppressed;
	record->event.path_bytes = QUERY_NAME_BYTES;
	__u32 length = asking->bytes;

	asm volatile("%0 &= 255" : "+r"(length));
	if (length)
		bpf_skb_load_bytes(skb, asking->start, record->name, length);
	return submit_record(ring_alerts, record) ? 0 : sizeof(*record);
}

/* Tells the name from others in the decision's kind. Global: verified once, and for its own stack. */
__noinline int name_kind(struct __sk_buff *skb, struct asking *asking)
{
	if (asking)
		asking->kind.object = hash_whole_name(skb, asking->start, asking->bytes);
	return 0;
}

/* Counts and tells a decision. Global: verified once. */
__noinline int tell_query(struct __sk_buff *skb, struct asking *asking)
{
	__u64 suppressed = 0;

	if (!asking)
		return 0;
	/* On the stack: before 6.2 no other memory is a key. */
	struct alert_kind kind = asking->kind;

	if (admit(&kind, &suppressed))
		settle(&kind, suppressed, emit_query(skb, asking, suppressed));
	return 0;
}

static __always_inline int conclude_query(struct __sk_buff *skb, struct asking *asking, __u32 verdict, __u32 reason)
{
	if (!reports(verdict))
		return PASS;
	/* Under an image that only audits no refusal is one. */
	if (refuses(verdict) && asking->image_flags & IMAGE_AUDITS)
		verdict |= VERDICT_AUDITED;
	asking->kind.op = OP_DNS;
	asking->kind.hook = HOOK_DNS_EGRESS;
	asking->kind.verdict = verdict;
	asking->kind.reason = reason;
	if (asking->bytes)
		name_kind(skb, asking);
	tell_query(skb, asking);
	return refuses(verdict) ? REFUSE : PASS;
}

/* ---- verdicts ---------------------------------------------------------------------------------------------------- */

/* The names of the container's image; NULL: it has none. `*opened` as open_image() returns. */
static __always_inline struct image_names *open_names(__u32 container, struct image *image, int *opened)
{
	*opened = open_image(word_of(container), container, image);
	if (*opened)
		return NULL;
	__u32 entry = image->header->names_entry;

	if (!entry)
		return NULL;
	struct image_names *names = bpf_map_lookup_elem(image->map, &entry);

	if (!names)
		*opened = -1;
	return names;
}

static __always_inline int judge_without_image(struct __sk_buff *skb, struct asking *asking)
{
	count(COUNT_IMAGE_MISSING);
	return conclude_query(skb, asking, VERDICT_UNKNOWN_BLOCK, REASON_IMAGE);
}

/* Judges what can't be read. Global: verified once. */
__noinline int judge_unreadable(struct __sk_buff *skb, struct asking *asking)
{
	struct image image;
	int opened;

	if (!asking || asking->is_lenient)
		return PASS;
	asking->bytes = 0;
	asking->kind.object = 0;
	asking->kind.row = 0;
	struct image_names *names = open_names(asking->kind.container, &image, &opened);

	if (opened < 0)
		return judge_without_image(skb, asking);
	if (!names)
		return PASS;
	asking->kind.generation = generation_of(image.word);
	asking->image_flags = image.header->flags;
	count(COUNT_QUERIES_UNREAD);
	return conclude_query(skb, asking, names->unreadable, REASON_QUERY);
}

/* Judges the name at `start`. Returns how many bytes it has, 0: it can't be read, negative: it is refused. Global: verified once. */
__noinline int judge_name(struct __sk_buff *skb, struct asking *asking, __u32 start)
{
	struct dns_name name = { .skb = skb, .start = start };
	struct name_state *state;
	struct image image;
	__u64 row = 0;
	int opened;

	if (!asking)
		return 0;
	state = &asking->name;
	name.state = state;
	__builtin_memset(state, 0, sizeof(*state));
	repeat(NAME_LABELS_MAX, scan_label, &name);
	if (!state->is_whole)
		return 0;
	asking->start = start;
	asking->bytes = state->at;
	struct image_names *names = open_names(asking->kind.container, &image, &opened);

	if (opened < 0)
		return judge_without_image(skb, asking) == PASS ? asking->bytes : -1;
	if (!names)
		return asking->bytes;
	name.map = image.map;
	name.buckets = image.header->buckets;
	asking->kind.generation = generation_of(image.word);
	asking->image_flags = image.header->flags;
	if (!asking->is_known)
		count(COUNT_SENDERS_UNKNOWN);
	__u32 class = asking->is_known ? source_class(&image, asking->kind.exe) : image.header->sources + 1;

	asking->kind.row = row_index(reference_of(&name, &names->trie), class);
	__u32 verdict = read_row(&image, asking->kind.row, &row) ? VERDICT_UNKNOWN_BLOCK : verdict_in(row, OP_NETWORK);

	return conclude_query(skb, asking, verdict, REASON_ROW) == PASS ? asking->bytes : -1;
}

/* Judges a message that begins at `at`. Global: verified once. */
__noinline int judge_message(struct __sk_buff *skb, struct asking *asking, __u32 at)
{
	__u16 header[DNS_HEADER_BYTES / 2] = {};

	if (!asking)
		return REFUSE;
	if (bpf_skb_load_bytes(skb, at, header, sizeof(header)))
		return judge_unreadable(skb, asking);
	__u32 questions = bpf_ntohs(header[2]);

	/* Allows: what asks nothing. */
	if (bpf_ntohs(header[1]) & DNS_RESPONSE || !questions)
		return PASS;
	if (questions > QUESTIONS_MAX)
		return judge_unreadable(skb, asking);
	at += DNS_HEADER_BYTES;
	for (__u32 i = 0; i < QUESTIONS_MAX && i < questions; i++) {
		__u32 tail;
		int bytes = judge_name(skb, asking, at);

		if (bytes < 0)
			return REFUSE;
		at += bytes;
		if (!bytes || bpf_skb_load_bytes(skb, at, &tail, QUESTION_TAIL))
			return judge_unreadable(skb, asking);
		at += QUESTION_TAIL;
	}
	return PASS;
}

/* ---- packets ----------------------------------------------------------------------------------------------------- */

/* Whether the sender can still write what the packet has. */
static __always_inline int is_writable(struct __sk_buff *skb)
{
	struct sk_buff *buffer = (void *)skb;
	struct skb_shared_info *shared = (void *)(BPF_CORE_READ(buffer, head) + BPF_CORE_READ(buffer, end));

	return BPF_CORE_READ(shared, flags) & SHARED_MEMORY;
}

/* A UDP packet that is cut into several of this size as it leaves has messages that were not looked at. */
static __always_inline int is_several(struct __sk_buff *skb)
{
	return skb->gso_segs > 1;
}

static __always_inline int judge_udp(struct __sk_buff *skb, struct asking *asking, __u32 payload)
{
	if (is_several(skb))
		return judge_unreadable(skb, asking);
	return judge_message(skb, asking, payload + UDP_HEADER_BYTES);
}

/* What is of interest of a segment. Numbers of bytes wrap, so differences count. */
struct segment {
	__u32 first; /* number of its first byte */
	__u32 bytes;
	__u32 at;    /* where they lie in the packet */
};

/* The messages that begin in a segment. */
static __always_inline int judge_stream(struct __sk_buff *skb, struct asking *asking, struct segment *segment)
{
	struct sender *sender = sender_of(skb, 0);

	/* Older than these programs: nobody knows where its messages begin. */
	if (!sender || !sender->is_counted)
		return judge_unreadable(skb, asking);
	__u32 next = sender->expected;

	for (int i = 0; i < MESSAGES_MAX; i++) {
		__s32 skipped = next - segment->first;
		__u16 length = 0;

		/* What was judged, sent again, or the rest of a message whose question was. */
		if (skipped >= (__s32)segment->bytes) {
			sender->expected = next;
			return PASS;
		}
		if (skipped < 0 || bpf_skb_load_bytes(skb, segment->at + skipped, &length, sizeof(length)))
			break;
		if (judge_message(skb, asking, segment->at + skipped + sizeof(length)) == REFUSE)
			return REFUSE;
		next += sizeof(length) + bpf_ntohs(length);
	}
	return judge_unreadable(skb, asking);
}

static __always_inline int judge_tcp(struct __sk_buff *skb, struct asking *asking, __u32 payload)
{
	struct segment segment = {};
	struct tcphdr header = {};

	if (bpf_skb_load_bytes(skb, payload, &header, TCP_HEADER_BYTES))
		return judge_unreadable(skb, asking);
	segment.first = bpf_ntohl(header.seq);
	segment.at = payload + 4 * header.doff;
	if (header.syn) {
		struct sender *sender = sender_of(skb, BPF_SK_STORAGE_GET_F_CREATE);

		segment.first++;
		if (sender) {
			sender->expected = segment.first;
			sender->is_counted = 1;
		}
	}
	/* Allows: it carries nothing. */
	if (skb->len <= segment.at)
		return PASS;
	segment.bytes = skb->len - segment.at;
	return judge_stream(skb, asking, &segment);
}

/* What a packet carries, and where that begins. */
struct payload {
	__u32 protocol;
	__u32 at;
};

/* Finds what follows the headers of IPv6. Returns 1 when the packet is a fragment, or can't be followed. */
static __always_inline int find_upper_layer(struct __sk_buff *skb, struct payload *payload)
{
	for (int i = 0; i < EXTENSIONS_MAX; i++) {
		__u8 head[2] = {};
		__u32 unit = 8, extra = 8;

		switch (payload->protocol) {
		case NEXT_FRAGMENT:
			return 1;
		case NEXT_AUTHENTICATION:
			unit = 4;
			break;
		case NEXT_HOP_BY_HOP:
		case NEXT_ROUTING:
		case NEXT_DESTINATION:
		case NEXT_MOBILITY:
			break;
		default:
			return 0;
		}
		if (bpf_skb_load_bytes(skb, payload->at, head, sizeof(head)))
			return 1;
		payload->protocol = head[0];
		payload->at += extra + unit * head[1];
	}
	return 1;
}

/* Finds protocol and payload. Returns 1 when the packet is a fragment, or can't be followed. */
static __always_inline int find_payload(struct __sk_buff *skb, struct payload *payload)
{
	struct iphdr ip = {};

	/* The version stands first in both. */
	if (bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip)))
		return 1;
	if (ip.version == 6) {
		payload->protocol = ((struct ipv6hdr *)&ip)->nexthdr;
		payload->at = IPV6_HEADER_BYTES;
		return find_upper_layer(skb, payload);
	}
	payload->protocol = ip.protocol;
	payload->at = 4 * ip.ihl;
	return (bpf_ntohs(ip.frag_off) & IP_FRAGMENT_BITS) != 0;
}

/* Whether the packet goes where names are asked for, by the socket's port or by its own. */
static __always_inline int goes_to_dns(struct __sk_buff *skb, struct payload *payload)
{
	__u16 ports[2] = {};

	if (skb->remote_port == bpf_htonl(DNS_PORT))
		return 1;
	return !bpf_skb_load_bytes(skb, payload->at, ports, sizeof(ports)) && ports[1] == bpf_htons(DNS_PORT);
}

/* Judges a packet that may ask for a name. */
static __always_inline int judge_packet(struct __sk_buff *skb)
{
	struct payload payload = {};
	struct asking asking = {};
	int is_odd = find_payload(skb, &payload);

	/* Allows: another protocol. */
	if (!is_odd && payload.protocol != PROTOCOL_UDP && payload.protocol != PROTOCOL_TCP)
		return PASS;
	/* Allows: a host's, or of a container without such rules. */
	if (!find_sender(skb, &asking, is_odd || goes_to_dns(skb, &payload)))
		return PASS;
	if (is_odd || is_writable(skb))
		return judge_unreadable(skb, &asking);
	if (payload.protocol == PROTOCOL_UDP)
		return judge_udp(skb, &asking, payload.at);
	return judge_tcp(skb, &asking, payload.at);
}

/* Whether a header follows that of IPv6 which is none of a protocol that carries DNS, and may lead to one. */
static __always_inline int leads_on(__u32 next)
{
	return next == NEXT_HOP_BY_HOP || next == NEXT_ROUTING || next == NEXT_FRAGMENT || next == NEXT_DESTINATION ||
	       next == NEXT_AUTHENTICATION || next == NEXT_MOBILITY;
}

/*
 * Whether a packet may ask for a name. For every packet of the machine: most are none, which few instructions tell. The port of a
 * datagram may have been changed since it was sent, so a socket that is not connected is asked whether it ever sent to DNS.
 */
static __always_inline int may_ask(struct __sk_buff *skb)
{
	void *end = (void *)(long)skb->data_end;
	void *data = (void *)(long)skb->data;
	__u32 remote = skb->remote_port, protocol, at;

	if (remote == bpf_htonl(DNS_PORT))
		return 1;
	if (skb->protocol == bpf_htons(ETHERTYPE_IP)) {
		struct iphdr *ip = data;

		if ((void *)(ip + 1) > end)
			return 1;
		protocol = ip->protocol;
		at = (*(__u8 *)data & 15) * 4;
		if (ip->frag_off & bpf_htons(IP_FRAGMENT_BITS))
			return protocol == PROTOCOL_UDP || protocol == PROTOCOL_TCP;
	} else {
		struct ipv6hdr *ip = data;

		if ((void *)(ip + 1) > end)
			return 1;
		protocol = ip->nexthdr;
		at = sizeof(*ip);
		if (leads_on(protocol))
			return 1;
	}
	if (protocol != PROTOCOL_UDP && protocol != PROTOCOL_TCP)
		return 0;
	__be16 *ports = data + at;

	if ((void *)(ports + 2) > end || ports[1] == bpf_htons(DNS_PORT))
		return 1;
	return protocol == PROTOCOL_UDP && !remote && sender_of(skb, 0) != NULL;
}

SLOT(dns_egress);

/* An empty slot refuses what a container sends: see DECIDING_HOOK. Not by STUB(): the two values mean the opposite. */
SEC("cgroup_skb/egress") int hook_dns_egress(struct __sk_buff *skb)
{
	bpf_tail_call(skb, &slot_dns_egress, 0);
	count(COUNT_EMPTY_SLOT);
	return container_by_cgroup(skb) ? REFUSE : PASS;
}

SEC("cgroup_skb/egress")
int decide_dns_egress(struct __sk_buff *skb)
{
	/* Not the value itself, of which the verifier knows no bounds. */
	return may_ask(skb) && judge_packet(skb) == REFUSE ? REFUSE : PASS;
}
