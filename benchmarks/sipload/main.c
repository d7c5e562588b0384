/* Options, the loop, and the stages of a run: collect the calls, settle, measure, end the calls. */
#define _GNU_SOURCE
#include "sipload.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define MAX_CALLS 60000
#define MAX_WAIT_CALLS 4000
#define MAX_DURATION_S 120
#define MAX_WINDOW_S 300
#define MAX_SETTLE_S 60
#define MAX_WAIT_S 600
#define BURST 50 /* calls started or ended within one tick, at most */

enum stage { COLLECTING, SETTLING, MEASURING, CLOSING, FINISHED };

struct options opt;
unsigned run_id;
ns_t window_open, window_close;
static volatile sig_atomic_t stop_asked;
static struct run run;
static int calls_ended;
static ns_t t_start, t_stage;

ns_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time); /* the clock of the kernel's receive stamps */
    return time.tv_sec * SEC + time.tv_nsec;
}

ns_t mono_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * SEC + time.tv_nsec;
}

/* ------------------------------------------------------------------------------------------------------ options */

static const char usage_text[] =
    "sipload --mode hold|cps --target 127.x.x.x:PORT[,...] [options]     call the server\n"
    "sipload --mode wait --calls N [options]                             be called by the server\n"
    "\n"
    "  --local IP[:PORT]      our SIP address (127.0.0.1:5090); port 0 takes a free one\n"
    "  --rtp-base PORT        first RTP port (30000)\n"
    "  --calls N              calls to place, or to wait for\n"
    "  --ramp R               hold: calls per second to start, twice that to end\n"
    "  --settle S, --window S seconds between the last answer and the measurement, and of the measurement\n"
    "  --rate R --duration S --hold-ms MS                                  cps: short calls\n"
    "  --answer-ms MS         wait: ring so long before the 200\n"
    "  --wait-s S             wait: for all calls to come up (120); then measure those that are\n"
    "  --bye server|us        wait: who ends the calls after the window (server)\n"
    "  --bye-wait-s S         wait: for the server's BYEs (30)\n"
    "  --send none|silence|tone|code     what we say\n"
    "  --code-period-ms MS    one coded burst in so many ms (2400, at least 1000)\n"
    "  --turns                code: one leg after the other, one a second, for a room where each hears all others\n"
    "  --code-base N          the code of our first leg, and codes of another sipload are welcome (no latency for those)\n"
    "  --codec pcmu|pcma      offered, or preferred in an answer\n"
    "  --shared-rtp           one RTP port for all calls, no audio\n"
    "  --pids PID[,...]       the server's processes; their descendants are found\n"
    "  --user U --from U --hdr 'Name: value' --timeout-ms MS               of our INVITEs\n"
    "  --json FILE --dump FILE --label TEXT\n"
    "\n"
    "Wait mode, and every mode with --json, prints the SIP port as its first line, then 'up', 'open', 'closed' as they happen.\n";

static int add_target(const char *text)
{
    char ip[64];
    struct sockaddr_in *target = &opt.targets[opt.target_count];
    const char *colon = strchr(text, ':');
    int port = colon ? atoi(colon + 1) : 5060;
    if (opt.target_count == MAX_TARGETS)
        return -1;
    snprintf(ip, sizeof ip, "%.*s", (int)strcspn(text, ":"), text);
    target->sin_family = AF_INET;
    target->sin_port = htons((uint16_t)port);
    if (inet_pton(AF_INET, ip, &target->sin_addr) != 1 || !is_loopback(target))
        return -1;
    snprintf(opt.target_text[opt.target_count++], sizeof opt.target_text[0], "%.40s:%d", ip, port);
    return 0;
}

static int set_local(char *text)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    char *colon = strchr(text, ':');
    if (colon) {
        *colon = 0;
        opt.local_port = atoi(colon + 1);
    }
    snprintf(opt.local_ip, sizeof opt.local_ip, "%s", text);
    return inet_pton(AF_INET, text, &address.sin_addr) == 1 && is_loopback(&address) ? 0 : -1;
}

static int index_of(const char *word, const char *const *words)
{
    for (int i = 0; words[i]; i++)
        if (!strcmp(word, words[i]))
            return i;
    return -1;
}

static int set_choice(int *value, const char *word, const char *const *words)
{
    *value = index_of(word, words);
    return *value < 0 ? -1 : 0;
}

static int for_each(char *list, int (*function)(const char *))
{
    for (char *item = strtok(list, ", "); item; item = strtok(NULL, ", "))
        if (function(item))
            return -1;
    return 0;
}

static int add_pid(const char *text)
{
    procs_add_root(atoi(text));
    return 0;
}

#define COPY(field) (snprintf(opt.field, sizeof opt.field, "%s", argument), 0)

static int set_option(int name, char *argument)
{
    static const char *const modes[] = {"hold", "cps", "wait", NULL}, *const sends[] = {"none", "silence", "tone", "code", NULL};
    static const char *const byes[] = {"server", "us", NULL}, *const codecs[] = {"pcmu", "pcma", NULL};
    int choice = 0, bad = 0;
    switch (name) {
    case 't': return for_each(argument, add_target);
    case 'p': return for_each(argument, add_pid);
    case 'l': return set_local(argument);
    case 'u': return COPY(user);
    case 'f': return COPY(from_user);
    case 'j': return COPY(json_path);
    case 'd': return COPY(dump_path);
    case 'L': return COPY(label);
    case 'h': snprintf(opt.extra_header, sizeof opt.extra_header, "%.250s\r\n", argument); return 0;
    case 'b': opt.rtp_base = atoi(argument); return 0;
    case 'n': opt.calls = atoi(argument); return 0;
    case 'T': opt.timeout_ms = atoi(argument); return 0;
    case 'r': opt.ramp = atof(argument); return 0;
    case 'w': opt.window_s = atof(argument); return 0;
    case 's': opt.settle_s = atof(argument); return 0;
    case 'R': opt.rate = atof(argument); return 0;
    case 'D': opt.duration_s = atof(argument); return 0;
    case 'H': opt.hold_ms = atof(argument); return 0;
    case 'A': opt.answer_ms = atof(argument); return 0;
    case 'W': opt.wait_s = atof(argument); return 0;
    case 'Y': opt.bye_wait_s = atof(argument); return 0;
    case 'P': opt.code_period_frames = atoi(argument) / FRAME_MS; return 0;
    case 'q': opt.takes_turns = 1; return 0;
    case 'C': opt.code_base = atoi(argument); return 0;
    case 'x': opt.shared_rtp = 1; return 0;
    case 'B': return 0; /* accepted for old command lines: B-legs need no announcement */
    case 'y': return set_choice(&opt.we_hang_up, argument, byes);
    case 'm':
        bad = set_choice(&choice, argument, modes);
        opt.mode = (enum mode)choice;
        return COPY(mode_name) || bad;
    case 'S':
        bad = set_choice(&choice, argument, sends);
        opt.send = (enum sending)choice;
        return COPY(send_name) || bad;
    case 'c':
        bad = set_choice(&choice, argument, codecs);
        opt.payload_type = choice ? PT_PCMA : PT_PCMU;
        return bad;
    default: return -1;
    }
}

static int within_bounds(void)
{
    int most = opt.mode == MODE_WAIT ? MAX_WAIT_CALLS : MAX_CALLS;
    return opt.calls > 0 && opt.calls <= most && opt.ramp > 0 && opt.rate > 0 && opt.duration_s >= 0 &&
           opt.duration_s <= MAX_DURATION_S && opt.window_s > 0 && opt.window_s <= MAX_WINDOW_S && opt.settle_s >= 0 &&
           opt.settle_s <= MAX_SETTLE_S && opt.wait_s > 0 && opt.wait_s <= MAX_WAIT_S && opt.bye_wait_s >= 0 &&
           opt.bye_wait_s <= MAX_WAIT_S && opt.code_period_frames >= 50 && opt.code_period_frames <= 3000 && opt.rtp_base >= 1024 &&
           opt.rtp_base <= 60000 && opt.code_base < 0x2000 && opt.answer_ms >= 0 && opt.answer_ms <= 60000 && opt.timeout_ms > 0 && opt.timeout_ms <= 60000 &&
           (opt.mode == MODE_WAIT || opt.calls / opt.ramp <= MAX_WAIT_S);
}

static void parse(int argc, char **argv)
{
    static const struct option options[] = {
        {"target", 1, 0, 't'},   {"user", 1, 0, 'u'},      {"from", 1, 0, 'f'},       {"local", 1, 0, 'l'},     {"rtp-base", 1, 0, 'b'},
        {"calls", 1, 0, 'n'},    {"ramp", 1, 0, 'r'},      {"window", 1, 0, 'w'},     {"settle", 1, 0, 's'},    {"mode", 1, 0, 'm'},
        {"rate", 1, 0, 'R'},     {"duration", 1, 0, 'D'},  {"hold-ms", 1, 0, 'H'},    {"send", 1, 0, 'S'},      {"shared-rtp", 0, 0, 'x'},
        {"pids", 1, 0, 'p'},     {"json", 1, 0, 'j'},      {"label", 1, 0, 'L'},      {"timeout-ms", 1, 0, 'T'}, {"expect-b", 0, 0, 'B'},
        {"dump", 1, 0, 'd'},     {"hdr", 1, 0, 'h'},       {"answer-ms", 1, 0, 'A'},  {"wait-s", 1, 0, 'W'},    {"bye", 1, 0, 'y'},
        {"bye-wait-s", 1, 0, 'Y'}, {"codec", 1, 0, 'c'},   {"code-period-ms", 1, 0, 'P'}, {"code-base", 1, 0, 'C'},   {"turns", 0, 0, 'q'},
        {"help", 0, 0, '?'},    {0}};
    opt = (struct options){.mode = MODE_HOLD, .send = SEND_SILENCE, .send_name = "silence", .mode_name = "hold", .local_ip = "127.0.0.1",
                           .local_port = 5090, .rtp_base = 30000, .user = "play", .from_user = "sipload", .calls = 1, .ramp = 20,
                           .window_s = 10, .settle_s = 2, .rate = 10, .duration_s = 10, .wait_s = 120, .bye_wait_s = 30,
                           .timeout_ms = 8000, .code_period_frames = 120, .code_base = -1};
    for (int name; (name = getopt_long(argc, argv, "", options, NULL)) > 0;)
        if (set_option(name, optarg)) {
            fputs(usage_text, stderr);
            exit(2);
        }
    if (opt.mode == MODE_CPS)
        opt.calls = (int)(opt.rate * opt.duration_s + 0.5);
    if (!within_bounds() || (opt.mode != MODE_WAIT && !opt.target_count)) {
        fputs(opt.mode != MODE_WAIT && !opt.target_count ? "--target is missing\n" : "a value is out of bounds\n", stderr);
        exit(2);
    }
}

/* ------------------------------------------------------------------------------------------------------- stages */

/* For the program that started us; not where the result itself goes to the same place. */
static void announce(const char *word)
{
    if (opt.mode != MODE_WAIT && !opt.json_path[0])
        return;
    puts(word);
    fflush(stdout);
}

static void window_opens(void)
{
    run.open = procs_scan();
    procs_mark_open();
    run.busy_open_s = system_busy_s(&run.steal_open_s);
    run.self_open_s = self_cpu_s();
    run.max_tick_late_ms = 0;
    window_open = now_ns();
    announce("open");
}

static void window_closes(void)
{
    window_close = now_ns();
    run.close = procs_scan();
    procs_mark_close();
    run.busy_close_s = system_busy_s(&run.steal_close_s);
    run.self_close_s = self_cpu_s();
    run.udp_errors_end = udp_buffer_errors();
    announce("closed");
}

static int legs_acked(void)
{
    int found = 0;
    for (int i = 0; i < leg_count; i++)
        found += legs[i].role == UAS && legs[i].acked && legs[i].t_ack;
    return found;
}

/* Are all calls there, or all that will come? */
static int collected(ns_t now)
{
    if (opt.mode != MODE_WAIT) {
        run.complete = count.failed == 0;
        return count.attempted >= opt.calls && !legs_in_state(LEG_INVITING);
    }
    run.complete = legs_acked() >= opt.calls;
    return run.complete || now > t_start + (ns_t)(opt.wait_s * 1e9);
}

static int bye_is_ours(const struct leg *leg)
{
    return opt.mode == MODE_WAIT ? opt.we_hang_up || stop_asked : leg->role == UAC;
}

/* Ends our calls at twice the ramp; then waits for all to be over, within bounds. */
static int closed(ns_t now)
{
    int due = (int)((double)(now - t_stage) / 1e9 * opt.ramp * 2) + 1;
    for (int burst = 0; calls_ended < leg_count && calls_ended < due * 2 && burst < BURST; calls_ended++) {
        struct leg *leg = &legs[calls_ended];
        if (leg->state == LEG_UP && bye_is_ours(leg)) {
            hang_up(leg);
            burst++;
        }
    }
    double patience_s = opt.mode == MODE_WAIT && !opt.we_hang_up && !stop_asked ? opt.bye_wait_s : 9 + leg_count / opt.ramp;
    return (calls_ended >= leg_count && !legs_active()) || now > t_stage + (ns_t)(patience_s * 1e9);
}

static enum stage next_stage(enum stage stage, ns_t now)
{
    switch (stage) {
    case COLLECTING:
        if (!collected(now))
            return stage;
        run.all_up_s = (double)(now - t_start) / 1e9;
        if (opt.mode == MODE_CPS)
            return MEASURING;
        run.up = procs_memory();
        announce("up");
        return SETTLING;
    case SETTLING:
        if (now < t_stage + (ns_t)(opt.settle_s * 1e9))
            return stage;
        window_opens();
        return MEASURING;
    case MEASURING:
        if (opt.mode == MODE_CPS ? legs_active() && now < t_stage + 20 * SEC : now < window_open + (ns_t)(opt.window_s * 1e9))
            return stage;
        window_closes();
        return opt.mode == MODE_CPS ? FINISHED : CLOSING;
    case CLOSING: return closed(now) ? FINISHED : stage;
    default: return FINISHED;
    }
}

static void start_due_calls(ns_t now)
{
    double rate = opt.mode == MODE_CPS ? opt.rate : opt.ramp;
    int due = (int)((double)(now - t_start) / 1e9 * rate) + 1;
    for (int burst = 0; count.attempted < due && count.attempted < opt.calls && burst < BURST; burst++)
        if (start_call()) {
            fputs("no free leg or RTP port\n", stderr);
            exit(2);
        }
}

static ns_t latest_end(void)
{
    double lead_s = opt.mode == MODE_WAIT ? opt.wait_s + opt.bye_wait_s : opt.calls / (opt.mode == MODE_CPS ? opt.rate : opt.ramp);
    return t_start + (ns_t)((lead_s + opt.settle_s + opt.window_s + opt.duration_s + 60) * 1e9);
}

static void sleep_until(ns_t tick)
{
    ns_t now = mono_ns();
    if (now < tick) {
        struct timespec time = {tick / SEC, tick % SEC};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
    } else if ((double)(now - tick) / 1e6 > run.max_tick_late_ms) {
        run.max_tick_late_ms = (double)(now - tick) / 1e6;
    }
}

static enum stage stop_early(enum stage stage)
{
    if (!run.cut_short && stage == MEASURING)
        window_closes();
    run.cut_short = 1;
    return CLOSING;
}

static void loop(void)
{
    enum stage stage = COLLECTING, before = COLLECTING;
    ns_t tick = mono_ns();
    t_start = t_stage = now_ns();
    if (opt.mode == MODE_CPS)
        window_opens();
    for (long ticks = 1; stage != FINISHED; ticks++) {
        tick += MS;
        sleep_until(tick);
        ns_t now = now_ns();
        sip_receive(now);
        if (!opt.shared_rtp)
            rtp_receive(now);
        rtp_send_due((int)(ticks % FRAME_MS));
        if (opt.mode != MODE_WAIT && stage == COLLECTING)
            start_due_calls(now);
        if (ticks % 5 == 0 || (opt.mode == MODE_WAIT && stage == COLLECTING))
            sip_timers(now);
        if (ticks % 1000 == 0)
            procs_scan(); /* so that short-lived processes are not forgotten */
        if (stop_asked && !run.cut_short)
            stage = stop_early(stage);
        stage = next_stage(stage, now);
        if (stage != before) {
            t_stage = now;
            tick = mono_ns(); /* to read the memory of many processes takes seconds: what was not sent meanwhile is not sent in a burst */
        }
        before = stage;
        if (now > latest_end()) {
            fputs("stopped: overall time limit\n", stderr);
            run.cut_short = 1;
            break;
        }
    }
}

static void on_signal(int number)
{
    (void)number;
    stop_asked = 1;
}

int main(int argc, char **argv)
{
    parse(argc, argv);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    run_id = (unsigned)(now_ns() / MS) & 0xfffffff;
    legs_init(opt.calls * 2 + 1000);
    tone_init();
    rtp_init();
    opt.local_port = sip_open();
    if (opt.local_port < 0) {
        perror("SIP port");
        return 2;
    }
    char port[8];
    snprintf(port, sizeof port, "%d", opt.local_port);
    announce(port);
    run.udp_errors_start = udp_buffer_errors();
    run.base = procs_memory();
    loop();
    run.end = procs_memory();
    if (report(&run))
        return 2;
    int wrong = count.failed || run.cut_short || (opt.mode == MODE_WAIT && (!run.complete || count.dropped));
    return wrong ? 1 : 0;
}
