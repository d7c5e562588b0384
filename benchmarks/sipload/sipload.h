/* sipload: a small SIP user agent client and server with an RTP source and sink, for measuring a SIP server on loopback.
 *
 * One thread with a 1 ms tick. Arrival times come from the kernel (SO_TIMESTAMPNS), so the program's own scheduling does
 * not enter the figures. Everything is bounded in count and time, and nothing but 127.0.0.0/8 is ever spoken to.
 */
#ifndef SIPLOAD_H
#define SIPLOAD_H

#include <netinet/in.h>
#include <stdint.h>

typedef int64_t ns_t;
#define MS 1000000LL
#define SEC 1000000000LL

#define FRAME_SAMPLES 160 /* 20 ms of G.711 */
#define FRAME_MS 20
#define MAX_TARGETS 256
#define MAX_PIDS 256

/* ------------------------------------------------------------------------------------------------------ options */

enum mode { MODE_HOLD, MODE_CPS, MODE_WAIT };
enum sending { SEND_NONE, SEND_SILENCE, SEND_TONE, SEND_CODE };
enum { PT_PCMU = 0, PT_PCMA = 8 };

struct options {
    enum mode mode;
    enum sending send;
    char send_name[16], mode_name[16];
    char local_ip[64];
    int local_port, rtp_base;
    struct sockaddr_in targets[MAX_TARGETS];
    char target_text[MAX_TARGETS][64];
    int target_count;
    char user[64], from_user[64], extra_header[256];
    int calls;
    double ramp, window_s, settle_s, rate, duration_s, hold_ms, answer_ms, wait_s, bye_wait_s;
    int payload_type;  /* the codec we offer, or prefer in an answer */
    int shared_rtp;    /* one RTP port for all legs: no audio, only signalling */
    int we_hang_up;    /* wait mode: we send the BYEs */
    int timeout_ms, code_period_frames;
    int takes_turns; /* one leg after the other speaks its code, one a second, and any leg may hear any other */
    int code_base; /* codes of our legs start here; -1: at 0, and codes that are not of our own legs are wrong */
    char label[128], json_path[256], dump_path[256];
};
extern struct options opt;

/* --------------------------------------------------------------------------------------------------------- legs */

enum role { UAC, UAS };
enum leg_state { LEG_INVITING, LEG_RINGING, LEG_UP, LEG_BYEING, LEG_DONE, LEG_FAILED };

struct leg {
    int index;
    enum role role;
    enum leg_state state;
    int failure_code;
    /* the dialog */
    char call_id[160], user[64], local_uri[512], remote_uri[512], remote_target[256], tag[32], routes[1024];
    struct sockaddr_in peer, next_hop; /* where the INVITE went or came from; where requests in the dialog go */
    char *invite, *answer;             /* UAS: the INVITE, and the last final answer to it */
    int answer_size, cseq, acked;
    ns_t t_invite, t_200, t_ack, t_answer_due, t_retransmit, retransmit_interval, t_deadline, t_bye_due, t_done;
    /* RTP out */
    int fd, fd_rtcp, port, rtp_ready, payload_type, dtmf_type;
    struct sockaddr_in rtp_to;
    uint16_t seq;
    uint32_t timestamp, ssrc;
    int code_position; /* frame within the period of the coded tone; negative: not yet */
    ns_t t_onset;      /* when the first packet of the last coded tone was sent */
    /* RTP in, whole call */
    ns_t t_first, t_audible, t_last;
    int have_last;
    uint16_t last_seq;
    uint32_t last_timestamp, rx_ssrc;
    long rx_total, lost_total, ssrc_changes;
    /* RTP in, measuring window */
    long rx, lost, reordered, duplicates, timestamp_gaps, silent;
    double rfc3550_jitter_ms;
    ns_t max_deviation;
    /* detector of coded tones */
    int detector;
    int64_t detector_position;
    ns_t t_detected;
    double bit_level[17];
    int bit_count[17];
    int hears; /* the code we hear, -1: none yet */
    long codes_good, codes_bad;
    struct leg *next_in_bucket;
};

extern struct leg *legs;
extern int leg_count;

void legs_init(int capacity);
struct leg *leg_new(enum role role); /* NULL when the table is full */
void leg_add_to_index(struct leg *leg);
struct leg *leg_find(const char *call_id);
int legs_active(void);
int legs_in_state(enum leg_state state);
void leg_finish(struct leg *leg, enum leg_state state);

/* ----------------------------------------------------------------------------------------------------- counters */

struct counters {
    long attempted, answered, failed, timeouts, dropped, bye_timeouts, retransmissions, refused, cancelled, not_acked;
    long codes[700];
};
extern struct counters count;

/* -------------------------------------------------------------------------------------------------------- clock */

extern unsigned run_id;
extern ns_t window_open, window_close; /* kernel time, 0: not yet */
ns_t now_ns(void);
ns_t mono_ns(void);

/* ---------------------------------------------------------------------------------------------------------- sip */

int sip_open(void); /* returns the port, -1 on error */
void sip_receive(ns_t now);
void sip_timers(ns_t now);
int start_call(void);
void hang_up(struct leg *leg);

/* ---------------------------------------------------------------------------------------------------------- rtp */

#define HISTOGRAM_BUCKETS 200000 /* of 10 us: deviations up to 2 s */
extern uint32_t *histogram;
extern uint64_t histogram_total;
extern ns_t histogram_max;

int udp_bind(int port, int receive_buffer);
ns_t kernel_time(void *msghdr, ns_t otherwise);
int is_loopback(const struct sockaddr_in *address);
void rtp_init(void);
int rtp_open(struct leg *leg); /* 0, or -1 when no port is free */
void rtp_close(struct leg *leg);
void rtp_receive(ns_t now);
void rtp_send_due(int phase);

/* --------------------------------------------------------------------------------------------------------- tone */

void tone_init(void);
const uint8_t *tone_frame(const struct leg *leg, int audible);
int is_audible(int payload_type, const uint8_t *payload, int size);
int code_of(const struct leg *leg);
struct leg *leg_of_code(int code); /* NULL: not one of ours */
int code_is_tone(const struct leg *leg, int frame);
void code_detect(struct leg *leg, const uint8_t *payload, int size, ns_t arrived, int in_window);

/* -------------------------------------------------------------------------------------------------------- stats */

struct series {
    double *values;
    int size, capacity;
};
void series_add(struct series *series, double value);
void series_sort(struct series *series);
double series_percentile(const struct series *series, double share); /* of a sorted series; -1 when empty */

struct code_latency {
    int from, to;
    double ms;
};
extern struct code_latency *code_latencies;
extern int code_latency_count;
void code_latency_add(int from, int to, double ms);

/* -------------------------------------------------------------------------------------------------------- procs */

struct usage {
    double cpu_s;
    long rss_kb, pss_kb, private_kb; /* pss and private: only after procs_memory, -1 when unreadable */
    int threads, processes;
};

struct process {
    int pid, parent, is_root, alive, threads;
    unsigned long long started;
    char name[20];
    double cpu_s, cpu_open_s, cpu_close_s;
    long rss_kb, pss_kb, private_kb;
};

extern struct process processes[];
extern int process_count;

void procs_add_root(int pid);
struct usage procs_scan(void);   /* finds new descendants; CPU and RSS */
struct usage procs_memory(void); /* the same, and PSS and private memory: slow, never inside the window */
void procs_mark_open(void);
void procs_mark_close(void);
double system_busy_s(double *steal_s);
long udp_buffer_errors(void);
double self_cpu_s(void);

/* ------------------------------------------------------------------------------------------------------- report */

struct run {
    struct usage base, up, open, close, end;
    double steal_open_s, steal_close_s, busy_open_s, busy_close_s, self_open_s, self_close_s, max_tick_late_ms;
    long udp_errors_start, udp_errors_end;
    int complete, cut_short; /* all legs came up; stopped by a signal or the overall limit */
    double all_up_s;
};
int report(const struct run *run); /* 0, or -1 when the file cannot be written */

#endif
