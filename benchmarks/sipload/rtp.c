/* RTP sockets, what arrives on them, and what is sent. */
#define _GNU_SOURCE
#include "sipload.h"

#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define RTP_HEADER 12
#define LAST_RTP_PORT 64000
#define FRAMES_OF_TURN 50 /* a burst is 34 */

uint32_t *histogram;
uint64_t histogram_total;
ns_t histogram_max;
static int epoll_fd;
static int next_port;
static long frames_gone;

int is_loopback(const struct sockaddr_in *address)
{
    return ntohl(address->sin_addr.s_addr) >> 24 == 127;
}

int udp_bind(int port, int receive_buffer)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, opt.local_ip, &address.sin_addr);
    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    if (bind(fd, (struct sockaddr *)&address, sizeof address)) {
        close(fd);
        return -1;
    }
    return fd;
}

ns_t kernel_time(void *message, ns_t otherwise)
{
    struct msghdr *header = message;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(header); part; part = CMSG_NXTHDR(header, part))
        if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SO_TIMESTAMPNS) {
            struct timespec stamp;
            memcpy(&stamp, CMSG_DATA(part), sizeof stamp);
            return stamp.tv_sec * SEC + stamp.tv_nsec;
        }
    return otherwise;
}

void rtp_init(void)
{
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    histogram = calloc(HISTOGRAM_BUCKETS, sizeof *histogram);
    if (epoll_fd < 0 || !histogram)
        abort();
    next_port = opt.rtp_base;
    if (opt.shared_rtp) { /* bound so that nobody gets "port unreachable"; never read */
        udp_bind(opt.rtp_base, 4096);
        udp_bind(opt.rtp_base + 1, 4096);
    }
}

int rtp_open(struct leg *leg)
{
    if (opt.shared_rtp) {
        leg->port = opt.rtp_base;
        return 0;
    }
    for (int attempt = 0; attempt < 20000; attempt++) {
        int port = next_port;
        next_port = port + 2 > LAST_RTP_PORT ? opt.rtp_base : port + 2;
        int fd = udp_bind(port, 262144);
        if (fd < 0)
            continue;
        leg->fd = fd;
        leg->fd_rtcp = udp_bind(port + 1, 4096);
        leg->port = port;
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)leg->index};
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
        return 0;
    }
    return -1;
}

void rtp_close(struct leg *leg)
{
    if (leg->fd >= 0)
        close(leg->fd);
    if (leg->fd_rtcp >= 0)
        close(leg->fd_rtcp);
    leg->fd = leg->fd_rtcp = -1;
    leg->rtp_ready = 0;
}

static void count_deviation(struct leg *leg, int frames, uint32_t timestamp, ns_t arrived)
{
    ns_t gap = arrived - leg->t_last, deviation = gap - (ns_t)frames * FRAME_MS * MS;
    uint32_t step = timestamp - leg->last_timestamp;
    if (step != (uint32_t)frames * FRAME_SAMPLES)
        leg->timestamp_gaps++;
    double transit = fabs((double)gap / 1e6 - (double)(int32_t)step / 8.0);
    leg->rfc3550_jitter_ms += (transit - leg->rfc3550_jitter_ms) / 16; /* RFC 3550 §6.4.1 */
    if (deviation < 0)
        deviation = -deviation;
    if (deviation > leg->max_deviation)
        leg->max_deviation = deviation;
    if (deviation > histogram_max)
        histogram_max = deviation;
    ns_t bucket = deviation / 10000;
    histogram[bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1]++;
    histogram_total++;
}

/* `step` is the distance to the highest sequence number so far. A late packet takes back the loss it was counted as. */
static void count_sequence(int step, long *lost, long *reordered, long *duplicates)
{
    if (step > 0) {
        *lost += step - 1;
    } else if (step == 0) {
        ++*duplicates;
    } else {
        ++*reordered;
        if (*lost > 0)
            --*lost;
    }
}

static void packet_arrived(struct leg *leg, const uint8_t *packet, int size, ns_t arrived)
{
    if (size < RTP_HEADER || packet[0] >> 6 != 2 || (packet[1] & 0x7f) != leg->payload_type)
        return;
    int header = RTP_HEADER + 4 * (packet[0] & 15);
    if (packet[0] & 0x10) {
        if (header + 4 > size)
            return;
        header += 4 + 4 * (packet[header + 2] << 8 | packet[header + 3]);
    }
    if (header >= size)
        return;
    uint16_t seq = (uint16_t)(packet[2] << 8 | packet[3]);
    uint32_t timestamp = ntohl(*(const uint32_t *)(packet + 4)), ssrc = ntohl(*(const uint32_t *)(packet + 8));
    int audible = is_audible(leg->payload_type, packet + header, size - header);
    int in_window = window_open && arrived >= window_open && (!window_close || arrived < window_close);

    leg->rx_total++;
    if (!leg->t_first)
        leg->t_first = arrived;
    if (!leg->t_audible && audible)
        leg->t_audible = arrived;
    if (leg->have_last && ssrc != leg->rx_ssrc) {
        leg->ssrc_changes++;
        leg->have_last = 0;
    }
    int step = leg->have_last ? (int16_t)(seq - leg->last_seq) : 1;
    long ignored = 0;
    if (leg->have_last)
        count_sequence(step, &leg->lost_total, &ignored, &ignored);
    if (in_window) {
        leg->rx++;
        leg->silent += !audible;
        if (leg->have_last && leg->t_last >= window_open) {
            count_sequence(step, &leg->lost, &leg->reordered, &leg->duplicates);
            if (step > 0)
                count_deviation(leg, step, timestamp, arrived);
        }
    }
    if (step > 0) {
        leg->last_seq = seq;
        leg->last_timestamp = timestamp;
        leg->t_last = arrived;
    }
    leg->have_last = 1;
    leg->rx_ssrc = ssrc;
    if (opt.send == SEND_CODE)
        code_detect(leg, packet + header, size - header, arrived, in_window);
}

static void drain(struct leg *leg, ns_t now)
{
    static _Alignas(4) uint8_t packet[2048];
    for (int i = 0; i < 64 && leg->fd >= 0; i++) {
        char control[128];
        struct iovec part = {packet, sizeof packet};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
        ssize_t size = recvmsg(leg->fd, &message, MSG_DONTWAIT);
        if (size >= 0)
            packet_arrived(leg, packet, (int)size, kernel_time(&message, now));
        else if (errno == EAGAIN)
            return;
    }
}

void rtp_receive(ns_t now)
{
    struct epoll_event events[512];
    for (int round = 0; round < 8; round++) {
        int ready = epoll_wait(epoll_fd, events, 512, 0);
        for (int i = 0; i < ready; i++)
            drain(&legs[events[i].data.u32], now);
        if (ready < 512)
            return;
    }
}

/* Which frame of its turn it is for a leg; -1: it is another's. */
static int frame_of_turn(const struct leg *leg)
{
    long frame = frames_gone % ((long)opt.calls * FRAMES_OF_TURN) - (long)leg->index * FRAMES_OF_TURN;
    return frame >= 0 && frame < FRAMES_OF_TURN ? (int)frame : -1;
}

static void send_frame(struct leg *leg)
{
    uint8_t packet[RTP_HEADER + FRAME_SAMPLES] = {0x80};
    int audible = opt.send == SEND_TONE;
    if (opt.send == SEND_CODE) {
        int frame = opt.takes_turns ? frame_of_turn(leg) : leg->code_position++;
        if (frame >= 0) {
            if (!opt.takes_turns)
                frame %= opt.code_period_frames;
            audible = code_is_tone(leg, frame);
            if (frame == 0)
                leg->t_onset = now_ns();
        }
    }
    uint16_t seq = htons(leg->seq);
    uint32_t timestamp = htonl(leg->timestamp), ssrc = htonl(leg->ssrc);
    packet[1] = (uint8_t)(leg->payload_type | (leg->timestamp == 0 ? 0x80 : 0));
    memcpy(packet + 2, &seq, sizeof seq);
    memcpy(packet + 4, &timestamp, sizeof timestamp);
    memcpy(packet + 8, &ssrc, sizeof ssrc);
    memcpy(packet + RTP_HEADER, tone_frame(leg, audible), FRAME_SAMPLES);
    leg->seq++;
    leg->timestamp += FRAME_SAMPLES;
    sendto(leg->fd, packet, sizeof packet, MSG_DONTWAIT, (struct sockaddr *)&leg->rtp_to, sizeof leg->rtp_to);
}

/* `phase` is the millisecond within the 20 ms raster: the legs are spread over it. */
void rtp_send_due(int phase)
{
    if (opt.send == SEND_NONE || opt.shared_rtp)
        return;
    frames_gone += phase == 0;
    for (int i = phase; i < leg_count; i += FRAME_MS)
        if (legs[i].rtp_ready && legs[i].state == LEG_UP && legs[i].fd >= 0)
            send_frame(&legs[i]);
}
