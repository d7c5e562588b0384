/* Just enough SIP over UDP to call and to be called (RFC 3261), with record routes. */
#define _GNU_SOURCE
#include "sipload.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define T1 (500 * MS) /* RFC 3261 §17.1.1.2 */
#define GIVE_UP (8 * SEC)
#define ALLOW "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE\r\n"

struct counters count;
static int sip_fd = -1;

/* ------------------------------------------------------------------------------------------------ building text */

struct text {
    char bytes[8192];
    int size;
};

static __attribute__((format(printf, 2, 3))) void add(struct text *text, const char *format, ...)
{
    int room = (int)sizeof text->bytes - text->size;
    va_list arguments;
    va_start(arguments, format);
    int wanted = vsnprintf(text->bytes + text->size, (size_t)room, format, arguments);
    va_end(arguments);
    text->size += wanted < room ? wanted : room - 1;
}

static void send_text(const struct text *text, const struct sockaddr_in *to)
{
    sendto(sip_fd, text->bytes, (size_t)text->size, MSG_DONTWAIT, (const struct sockaddr *)to, sizeof *to);
}

/* -------------------------------------------------------------------------------------------------- reading text */

/* Is this header line called `name`, or its one-letter form? Gives the value when it is. */
static const char *header_value(const char *line, const char *name, const char *compact)
{
    const char *names[] = {name, compact};
    for (int i = 0; i < 2; i++) {
        size_t length = names[i] ? strlen(names[i]) : 0;
        if (!length || strncasecmp(line, names[i], length))
            continue;
        const char *value = line + length;
        while (*value == ' ' || *value == '\t')
            value++;
        if (*value++ != ':')
            continue;
        while (*value == ' ' || *value == '\t')
            value++;
        return value;
    }
    return NULL;
}

static const char *next_header(const char *line)
{
    line = strstr(line, "\r\n");
    return !line || line[2] == '\r' || !line[2] ? NULL : line + 2;
}

static int line_length(const char *line)
{
    return (int)strcspn(line, "\r\n");
}

static int header(const char *message, const char *name, const char *compact, char *value, size_t size)
{
    value[0] = 0;
    for (const char *line = next_header(message); line; line = next_header(line)) {
        const char *found = header_value(line, name, compact);
        if (found) {
            snprintf(value, size, "%.*s", line_length(found), found);
            return 1;
        }
    }
    return 0;
}

/* The URI of a name-addr: what stands between the angle brackets, or everything up to a parameter. */
static void uri_of(const char *name_address, char *uri, size_t size)
{
    const char *open = strchr(name_address, '<');
    if (open)
        snprintf(uri, size, "%.*s", (int)strcspn(open + 1, ">"), open + 1);
    else
        snprintf(uri, size, "%.*s", (int)strcspn(name_address, "; \t"), name_address);
}

/* The socket address of a SIP URI with a numeric loopback host; 0 for any other. */
static int address_of(const char *uri, struct sockaddr_in *address)
{
    const char *host = strchr(uri, ':');
    if (!host)
        return 0;
    host++;
    const char *at = strchr(host, '@');
    if (at)
        host = at + 1;
    char ip[64];
    int length = (int)strcspn(host, ":;>?, ");
    snprintf(ip, sizeof ip, "%.*s", length, host);
    struct sockaddr_in found = {.sin_family = AF_INET};
    found.sin_port = htons((uint16_t)(host[length] == ':' ? atoi(host + length + 1) : 5060));
    if (inet_pton(AF_INET, ip, &found.sin_addr) != 1 || !is_loopback(&found))
        return 0;
    *address = found;
    return 1;
}

/* Adds one route in front or at the end of `routes`, a block of complete Route header lines. */
static void add_route(char *routes, size_t size, const char *value, int length, int in_front)
{
    char line[600];
    int wanted = snprintf(line, sizeof line, "Route: %.*s\r\n", length, value);
    size_t added = (size_t)wanted, present = strlen(routes);
    if (added >= sizeof line || present + added >= size)
        return;
    if (in_front) {
        memmove(routes + added, routes, present + 1);
        memcpy(routes, line, added);
    } else {
        memcpy(routes + present, line, added + 1);
    }
}

/* Route set, remote target and next hop from the message that made the dialog (RFC 3261 §12.1). */
static void learn_dialog(struct leg *leg, const char *message)
{
    char contact[600];
    leg->routes[0] = 0;
    for (const char *line = next_header(message); line; line = next_header(line)) {
        const char *value = header_value(line, "Record-Route", NULL);
        const char *end = value ? value + line_length(value) : NULL;
        while (value && value < end) {
            const char *close = memchr(value, '>', (size_t)(end - value));
            const char *comma = memchr(close ? close : value, ',', (size_t)(end - (close ? close : value)));
            const char *stop = comma ? comma : end;
            add_route(leg->routes, sizeof leg->routes, value, (int)(stop - value), leg->role == UAC);
            value = comma ? comma + 1 : end;
            while (value < end && *value == ' ')
                value++;
        }
    }
    if (header(message, "Contact", "m", contact, sizeof contact))
        uri_of(contact, leg->remote_target, sizeof leg->remote_target);
    leg->next_hop = leg->peer;
    if (leg->routes[0]) {
        char uri[256];
        uri_of(leg->routes + strlen("Route: "), uri, sizeof uri);
        address_of(uri, &leg->next_hop);
    } else if (leg->role == UAS) {
        address_of(leg->remote_target, &leg->next_hop);
    }
}

/* ---------------------------------------------------------------------------------------------------------- SDP */

static const char *session_description(const char *message)
{
    const char *body = strstr(message, "\r\n\r\n");
    return body && strstr(body, "m=audio ") ? body + 4 : NULL;
}

static int offers(const char *media_line, int payload_type)
{
    const char *p = strstr(media_line, "RTP/AVP");
    const char *end = media_line + line_length(media_line);
    if (!p || p > end)
        return 0;
    for (p += strcspn(p, " \r\n"); *p == ' ';) {
        char *after;
        long number = strtol(p, &after, 10);
        if (after == p)
            break;
        if (number == payload_type)
            return 1;
        p = after;
    }
    return 0;
}

/* Takes address and codec from an offer or answer; 0 when there is nothing we can speak to. */
static int accept_sdp(struct leg *leg, const char *message)
{
    const char *body = session_description(message);
    if (!body)
        return 0;
    const char *media = strstr(body, "m=audio "), *connection = strstr(media, "c=IN IP4 ");
    if (!connection)
        connection = strstr(body, "c=IN IP4 ");
    int other = opt.payload_type == PT_PCMU ? PT_PCMA : PT_PCMU;
    if (offers(media, opt.payload_type))
        leg->payload_type = opt.payload_type;
    else if (offers(media, other))
        leg->payload_type = other;
    else
        return 0;
    const char *dtmf = strcasestr(media, " telephone-event/8000");
    if (dtmf) {
        while (dtmf > media && dtmf[-1] >= '0' && dtmf[-1] <= '9')
            dtmf--;
        leg->dtmf_type = atoi(dtmf);
    } else if (leg->role == UAS) {
        leg->dtmf_type = 0;
    }
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(media + 8))};
    char ip[64];
    if (!connection || !to.sin_port)
        return 0;
    connection += strlen("c=IN IP4 ");
    snprintf(ip, sizeof ip, "%.*s", (int)strcspn(connection, "/ \r\n"), connection);
    if (inet_pton(AF_INET, ip, &to.sin_addr) != 1 || !is_loopback(&to)) {
        static int told;
        if (!told++)
            fprintf(stderr, "refused: media at %s, and only 127.0.0.0/8 is spoken to\n", ip);
        return 0;
    }
    leg->rtp_to = to;
    return 1;
}

static void our_sdp(const struct leg *leg, char *sdp, size_t size)
{
    char dtmf[120] = "", dtmf_type[16] = "";
    if (leg->dtmf_type) {
        snprintf(dtmf_type, sizeof dtmf_type, " %d", leg->dtmf_type);
        snprintf(dtmf, sizeof dtmf, "a=rtpmap:%d telephone-event/8000\r\na=fmtp:%d 0-15\r\n", leg->dtmf_type, leg->dtmf_type);
    }
    snprintf(sdp, size,
             "v=0\r\no=sipload %u 1 IN IP4 %s\r\ns=-\r\nc=IN IP4 %s\r\nt=0 0\r\nm=audio %d RTP/AVP %d%s\r\n"
             "a=rtpmap:%d %s/8000\r\n%sa=ptime:20\r\na=sendrecv\r\n",
             run_id + (unsigned)leg->index, opt.local_ip, opt.local_ip, leg->port, leg->payload_type, dtmf_type,
             leg->payload_type, leg->payload_type == PT_PCMA ? "PCMA" : "PCMU", dtmf);
}

/* ----------------------------------------------------------------------------------------------------- requests */

static void add_body(struct text *text, const char *sdp)
{
    if (sdp)
        add(text, "Content-Type: application/sdp\r\nContent-Length: %zu\r\n\r\n%s", strlen(sdp), sdp);
    else
        add(text, "Content-Length: 0\r\n\r\n");
}

static void retransmit_after(struct leg *leg, ns_t interval)
{
    leg->retransmit_interval = interval;
    leg->t_retransmit = now_ns() + interval;
}

static void send_invite(struct leg *leg)
{
    const char *target = opt.target_text[leg->index % opt.target_count];
    struct text text = {.size = 0};
    char sdp[1024];
    our_sdp(leg, sdp, sizeof sdp);
    add(&text, "INVITE sip:%s@%s SIP/2.0\r\n", opt.user, target);
    add(&text, "Via: SIP/2.0/UDP %s:%d;rport;branch=z9hG4bKi%d.%u\r\n", opt.local_ip, opt.local_port, leg->index, run_id);
    add(&text, "Max-Forwards: 70\r\nFrom: %s\r\nTo: <sip:%s@%s>\r\n", leg->local_uri, opt.user, target);
    add(&text, "Call-ID: %s\r\nCSeq: 1 INVITE\r\n", leg->call_id);
    add(&text, "Contact: <sip:%s@%s:%d>\r\n" ALLOW "%s", opt.from_user, opt.local_ip, opt.local_port, opt.extra_header);
    add_body(&text, sdp);
    send_text(&text, &leg->peer);
}

/* `branch` is "i" for the ACK of a refused INVITE, which belongs to the INVITE's transaction and path (§17.1.1.3). */
static void send_request(struct leg *leg, const char *method, int cseq, const char *branch)
{
    int own_transaction = strcmp(branch, "i") != 0;
    struct text text = {.size = 0};
    add(&text, "%s %s SIP/2.0\r\n", method, leg->remote_target);
    add(&text, "Via: SIP/2.0/UDP %s:%d;rport;branch=z9hG4bK%s%d.%u\r\n", opt.local_ip, opt.local_port, branch, leg->index, run_id);
    add(&text, "Max-Forwards: 70\r\n%s", own_transaction ? leg->routes : "");
    add(&text, "From: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d %s\r\n", leg->local_uri, leg->remote_uri, leg->call_id, cseq, method);
    add_body(&text, NULL);
    send_text(&text, own_transaction ? &leg->next_hop : &leg->peer);
}

static int our_cseq(const struct leg *leg)
{
    return leg->role == UAC ? 2 : 1; /* only the UAC has used a number before: its INVITE's */
}

void hang_up(struct leg *leg)
{
    leg->state = LEG_BYEING;
    leg->t_deadline = now_ns() + GIVE_UP;
    retransmit_after(leg, T1);
    send_request(leg, "BYE", our_cseq(leg), "b");
}

int start_call(void)
{
    struct leg *leg = leg_new(UAC);
    if (!leg || rtp_open(leg))
        return -1;
    snprintf(leg->call_id, sizeof leg->call_id, "a%d.%u@sipload", leg->index, run_id);
    snprintf(leg->tag, sizeof leg->tag, "t%d", leg->index);
    snprintf(leg->user, sizeof leg->user, "%.40s%d", opt.from_user, leg->index);
    snprintf(leg->local_uri, sizeof leg->local_uri, "<sip:%s@%s:%d>;tag=%s", opt.from_user, opt.local_ip, opt.local_port, leg->tag);
    leg->peer = leg->next_hop = opt.targets[leg->index % opt.target_count];
    leg_add_to_index(leg);
    leg->state = LEG_INVITING;
    leg->t_invite = now_ns();
    leg->t_deadline = leg->t_invite + opt.timeout_ms * MS;
    retransmit_after(leg, T1);
    send_invite(leg);
    count.attempted++;
    return 0;
}

/* ------------------------------------------------------------------------------------- responses to our requests */

static void fail(struct leg *leg, int code)
{
    leg->failure_code = code;
    count.failed++;
    if (code > 0 && code < 700)
        count.codes[code]++;
    leg_finish(leg, LEG_FAILED);
}

static void our_invite_answered(struct leg *leg, const char *message, int code, ns_t arrived)
{
    if (code < 200) { /* the INVITE has arrived: no more retransmissions (§17.1.1.2) */
        retransmit_after(leg, 64 * SEC);
        return;
    }
    header(message, "To", "t", leg->remote_uri, sizeof leg->remote_uri);
    if (code >= 300) {
        snprintf(leg->remote_target, sizeof leg->remote_target, "sip:%s@%s", opt.user, opt.target_text[leg->index % opt.target_count]);
        send_request(leg, "ACK", 1, "i");
        fail(leg, code);
        return;
    }
    learn_dialog(leg, message);
    leg->t_200 = arrived;
    leg->state = LEG_UP;
    leg->rtp_ready = accept_sdp(leg, message);
    leg->t_bye_due = opt.mode == MODE_CPS ? now_ns() + (ns_t)(opt.hold_ms * 1e6) : 0;
    send_request(leg, "ACK", 1, "a");
    count.answered++;
}

static void response_arrived(struct leg *leg, const char *message, const char *cseq, ns_t arrived)
{
    int code = atoi(message + 8);
    if (strstr(cseq, "BYE")) {
        if (leg->state == LEG_BYEING && code >= 200)
            leg_finish(leg, LEG_DONE);
    } else if (!strstr(cseq, "INVITE") || leg->role != UAC) {
        return;
    } else if (leg->state == LEG_INVITING) {
        our_invite_answered(leg, message, code, arrived);
    } else if (code >= 200 && code < 300) {
        count.retransmissions++;
        if (leg->state == LEG_FAILED && leg->failure_code == 0) { /* answered after we gave up: take it and end it */
            header(message, "To", "t", leg->remote_uri, sizeof leg->remote_uri);
            learn_dialog(leg, message);
            leg->failure_code = -1;
            send_request(leg, "ACK", 1, "a");
            send_request(leg, "BYE", 2, "b");
        } else {
            send_request(leg, "ACK", 1, "a");
        }
    }
}

/* ------------------------------------------------------------------------------------ requests of the other side */

static void reply(const char *request, const char *status, const char *tag, const char *sdp, const struct sockaddr_in *to, struct leg *keep)
{
    struct text text = {.size = 0};
    add(&text, "SIP/2.0 %s\r\n", status);
    for (const char *line = next_header(request); line; line = next_header(line)) {
        int length = line_length(line);
        const char *to_value = header_value(line, "To", "t");
        if (to_value) {
            int tagged = memmem(line, (size_t)length, ";tag=", 5) != NULL;
            add(&text, "%.*s%s%s\r\n", length, line, tag && !tagged ? ";tag=" : "", tag && !tagged ? tag : "");
        } else if (header_value(line, "Via", "v") || header_value(line, "Record-Route", NULL) || header_value(line, "From", "f") ||
                   header_value(line, "Call-ID", "i") || header_value(line, "CSeq", NULL)) {
            add(&text, "%.*s\r\n", length, line);
        }
    }
    if (atoi(status) < 300 && atoi(status) > 100)
        add(&text, "Contact: <sip:sipload@%s:%d>\r\n" ALLOW, opt.local_ip, opt.local_port);
    add_body(&text, sdp);
    if (keep) {
        free(keep->answer);
        keep->answer = malloc((size_t)text.size);
        keep->answer_size = keep->answer ? text.size : 0;
        if (keep->answer)
            memcpy(keep->answer, text.bytes, (size_t)text.size);
    }
    send_text(&text, to);
}

static void resend_answer(struct leg *leg)
{
    count.retransmissions++;
    sendto(sip_fd, leg->answer, (size_t)leg->answer_size, MSG_DONTWAIT, (struct sockaddr *)&leg->peer, sizeof leg->peer);
}

static void answer(struct leg *leg)
{
    char sdp[1024];
    our_sdp(leg, sdp, sizeof sdp);
    leg->state = LEG_UP;
    leg->rtp_ready = leg->rtp_to.sin_port != 0;
    leg->t_200 = now_ns();
    leg->t_deadline = leg->t_200 + GIVE_UP;
    reply(leg->invite, "200 OK", leg->tag, sdp, &leg->peer, leg);
    retransmit_after(leg, T1);
}

static void refuse(struct leg *leg, const char *message, const char *status, const struct sockaddr_in *source)
{
    count.refused++;
    reply(message, status, leg ? leg->tag : "refused", NULL, source, NULL);
}

static void remember_parties(struct leg *leg, const char *message)
{
    char to[440];
    header(message, "From", "f", leg->remote_uri, sizeof leg->remote_uri);
    header(message, "To", "t", to, sizeof to);
    snprintf(leg->local_uri, sizeof leg->local_uri, "%s;tag=%s", to, leg->tag);
    const char *user = strstr(message, "sip:");
    if (user)
        snprintf(leg->user, sizeof leg->user, "%.*s", (int)strcspn(user + 4, "@;:> \"\\\r\n"), user + 4);
}

static void new_invite(const char *message, const char *call_id, const char *cseq, const struct sockaddr_in *source, ns_t arrived)
{
    if (opt.mode == MODE_WAIT && leg_count - count.failed - count.cancelled >= opt.calls) {
        refuse(NULL, message, "486 Busy Here", source);
        return;
    }
    struct leg *leg = leg_new(UAS);
    if (!leg || rtp_open(leg)) {
        refuse(NULL, message, "486 Busy Here", source);
        return;
    }
    snprintf(leg->call_id, sizeof leg->call_id, "%.150s", call_id);
    snprintf(leg->tag, sizeof leg->tag, "b%d.%u", leg->index, run_id);
    leg_add_to_index(leg);
    leg->peer = *source;
    leg->cseq = atoi(cseq);
    leg->t_invite = arrived;
    remember_parties(leg, message);
    learn_dialog(leg, message);
    if (!accept_sdp(leg, message) && session_description(message)) {
        refuse(leg, message, "488 Not Acceptable Here", source);
        fail(leg, 488);
        return;
    }
    leg->invite = strdup(message);
    if (opt.mode == MODE_WAIT) {
        leg->state = LEG_RINGING;
        leg->t_answer_due = now_ns() + (ns_t)(opt.answer_ms * 1e6);
        reply(message, "100 Trying", NULL, NULL, source, NULL);
        reply(message, "180 Ringing", leg->tag, NULL, source, NULL);
        if (opt.answer_ms > 0)
            return;
    }
    answer(leg);
}

static void invite_again(struct leg *leg, const char *message, const char *cseq, const struct sockaddr_in *source)
{
    if (leg->role == UAS && atoi(cseq) == leg->cseq) {
        if (leg->state == LEG_RINGING)
            reply(message, "180 Ringing", leg->tag, NULL, source, NULL);
        else if (!leg->acked && leg->answer_size)
            resend_answer(leg);
        return;
    }
    char sdp[1024]; /* a re-INVITE: the same description again */
    accept_sdp(leg, message);
    our_sdp(leg, sdp, sizeof sdp);
    reply(message, "200 OK", leg->tag, sdp, source, NULL);
}

static void acked(struct leg *leg, const char *message, ns_t arrived)
{
    if (leg->acked)
        return;
    leg->acked = 1;
    leg->t_ack = arrived;
    if (leg->role == UAS && leg->state == LEG_UP) {
        count.answered++;
        if (!leg->rtp_ready) /* the offer was ours, in the 200 */
            leg->rtp_ready = accept_sdp(leg, message);
    }
}

static void bye_arrived(struct leg *leg)
{
    if (leg->state != LEG_UP && leg->state != LEG_BYEING)
        return;
    if (leg->state == LEG_UP && (leg->role == UAC || (opt.mode == MODE_WAIT && !window_close)))
        count.dropped++; /* the server ended a call we still wanted */
    leg_finish(leg, LEG_DONE);
}

static void request_arrived(struct leg *leg, const char *message, const char *call_id, const char *cseq, const struct sockaddr_in *source,
                            ns_t arrived)
{
    char sdp[1024];
    if (!strncmp(message, "INVITE ", 7)) {
        if (leg)
            invite_again(leg, message, cseq, source);
        else
            new_invite(message, call_id, cseq, source, arrived);
    } else if (!strncmp(message, "ACK ", 4)) {
        if (leg)
            acked(leg, message, arrived);
    } else if (!strncmp(message, "CANCEL ", 7)) {
        reply(message, leg ? "200 OK" : "481 Call Does Not Exist", leg ? leg->tag : "none", NULL, source, NULL);
        if (leg && leg->state == LEG_RINGING) {
            reply(leg->invite, "487 Request Terminated", leg->tag, NULL, &leg->peer, leg);
            count.cancelled++;
            leg_finish(leg, LEG_DONE);
        }
    } else if (!strncmp(message, "BYE ", 4)) {
        reply(message, leg ? "200 OK" : "481 Call Does Not Exist", leg ? leg->tag : "none", NULL, source, NULL);
        if (leg)
            bye_arrived(leg);
    } else if (leg && session_description(message)) { /* UPDATE with a description */
        our_sdp(leg, sdp, sizeof sdp);
        reply(message, "200 OK", leg->tag, sdp, source, NULL);
    } else {
        reply(message, "200 OK", leg ? leg->tag : "none", NULL, source, NULL);
    }
}

static void message_arrived(const char *message, const struct sockaddr_in *source, ns_t arrived)
{
    char call_id[160], cseq[64];
    if (!is_loopback(source) || !header(message, "Call-ID", "i", call_id, sizeof call_id) ||
        !header(message, "CSeq", NULL, cseq, sizeof cseq))
        return;
    struct leg *leg = leg_find(call_id);
    if (strncmp(message, "SIP/2.0 ", 8))
        request_arrived(leg, message, call_id, cseq, source, arrived);
    else if (leg)
        response_arrived(leg, message, cseq, arrived);
}

/* ------------------------------------------------------------------------------------------------ from the loop */

int sip_open(void)
{
    int size = 4194304;
    struct sockaddr_in bound;
    socklen_t length = sizeof bound;
    sip_fd = udp_bind(opt.local_port, size);
    if (sip_fd < 0 || getsockname(sip_fd, (struct sockaddr *)&bound, &length))
        return -1;
    setsockopt(sip_fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    return ntohs(bound.sin_port);
}

void sip_receive(ns_t now)
{
    static char datagram[65536];
    for (int i = 0; i < 2000; i++) {
        struct sockaddr_in source;
        char control[256];
        struct iovec part = {datagram, sizeof datagram - 1};
        struct msghdr message = {.msg_name = &source,
                                 .msg_namelen = sizeof source,
                                 .msg_iov = &part,
                                 .msg_iovlen = 1,
                                 .msg_control = control,
                                 .msg_controllen = sizeof control};
        ssize_t size = recvmsg(sip_fd, &message, MSG_DONTWAIT);
        if (size < 0)
            return;
        datagram[size] = 0;
        message_arrived(datagram, &source, kernel_time(&message, now));
    }
}

static void inviting_timer(struct leg *leg, ns_t now)
{
    if (now > leg->t_deadline) {
        count.timeouts++;
        fail(leg, 0);
    } else if (now > leg->t_retransmit) {
        count.retransmissions++;
        retransmit_after(leg, leg->retransmit_interval * 2);
        send_invite(leg);
    }
}

static void byeing_timer(struct leg *leg, ns_t now)
{
    if (now > leg->t_deadline) {
        count.bye_timeouts++;
        leg_finish(leg, LEG_DONE);
    } else if (now > leg->t_retransmit) {
        count.retransmissions++;
        retransmit_after(leg, leg->retransmit_interval * 2);
        send_request(leg, "BYE", our_cseq(leg), "b");
    }
}

static void up_timer(struct leg *leg, ns_t now)
{
    if (leg->role == UAC) {
        if (leg->t_bye_due && now >= leg->t_bye_due)
            hang_up(leg);
    } else if (!leg->acked && now > leg->t_deadline) {
        count.not_acked++;
        fail(leg, 0);
    } else if (!leg->acked && now > leg->t_retransmit) {
        resend_answer(leg);
        retransmit_after(leg, leg->retransmit_interval * 2);
    }
}

void sip_timers(ns_t now)
{
    for (int i = 0; i < leg_count; i++) {
        struct leg *leg = &legs[i];
        if (leg->state == LEG_INVITING)
            inviting_timer(leg, now);
        else if (leg->state == LEG_RINGING && now >= leg->t_answer_due)
            answer(leg);
        else if (leg->state == LEG_BYEING)
            byeing_timer(leg, now);
        else if (leg->state == LEG_UP)
            up_timer(leg, now);
    }
}
