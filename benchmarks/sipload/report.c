/* One JSON object per run, on one line. */
#define _GNU_SOURCE
#include "sipload.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEAL_LIMIT 0.03
#define MAX_DIRECTIONS 64

struct totals {
    long uac, uas, rx, expected, lost, lost_whole_call, reordered, duplicates, timestamp_gaps, ssrc_changes, silent, no_rtp, short_legs;
    long codes_good, codes_bad;
    double deficit, jitter_ms;
    struct series setup, ack, first, audible, first_after_200, audible_after_200;
};

static double milliseconds(ns_t from, ns_t to)
{
    return (double)(to - from) / 1e6;
}

/* How long the leg was there to be heard in the window. */
static double seconds_in_window(const struct leg *leg)
{
    ns_t until = leg->t_done && leg->t_done < window_close ? leg->t_done : window_close;
    ns_t from = leg->t_200 > window_open && leg->role == UAS ? leg->t_200 : window_open;
    return until > from ? (double)(until - from) / 1e9 : 0;
}

static void add_times(struct totals *totals, const struct leg *leg)
{
    ns_t reference = leg->role == UAC ? leg->t_200 : leg->t_ack;
    if (leg->role == UAC && leg->t_200)
        series_add(&totals->setup, milliseconds(leg->t_invite, leg->t_200));
    if (leg->role == UAS && leg->t_ack && leg->t_200)
        series_add(&totals->ack, milliseconds(leg->t_200, leg->t_ack));
    if (!reference || (leg->role == UAS && opt.mode != MODE_WAIT)) /* B-legs of a call to the server are its own affair */
        return;
    if (leg->t_first) {
        series_add(&totals->first, milliseconds(reference, leg->t_first));
        series_add(&totals->first_after_200, milliseconds(leg->t_200, leg->t_first));
    }
    if (leg->t_audible) {
        series_add(&totals->audible, milliseconds(reference, leg->t_audible));
        series_add(&totals->audible_after_200, milliseconds(leg->t_200, leg->t_audible));
    }
}

static void add_leg(struct totals *totals, const struct leg *leg)
{
    if (leg->state == LEG_FAILED || !leg->t_200)
        return;
    totals->uac += leg->role == UAC;
    totals->uas += leg->role == UAS;
    totals->rx += leg->rx;
    totals->lost += leg->lost;
    totals->lost_whole_call += leg->lost_total;
    totals->reordered += leg->reordered;
    totals->duplicates += leg->duplicates;
    totals->timestamp_gaps += leg->timestamp_gaps;
    totals->ssrc_changes += leg->ssrc_changes;
    totals->silent += leg->silent;
    totals->no_rtp += !leg->rx;
    totals->jitter_ms += leg->rfc3550_jitter_ms;
    totals->codes_good += leg->codes_good;
    totals->codes_bad += leg->codes_bad;
    double expected = seconds_in_window(leg) * 1000 / FRAME_MS, missing = expected - (double)leg->rx;
    totals->expected += (long)expected;
    if (missing > 1.5) {
        totals->deficit += missing;
        totals->short_legs++;
    }
    add_times(totals, leg);
}

static void add_all(struct totals *totals)
{
    struct series *all[] = {&totals->setup, &totals->ack, &totals->first, &totals->audible, &totals->first_after_200,
                            &totals->audible_after_200};
    for (int i = 0; i < leg_count; i++)
        add_leg(totals, &legs[i]);
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
        series_sort(all[i]);
}

static void write_series(FILE *out, const char *name, const struct series *series)
{
    fprintf(out, "\"%s\":{\"n\":%d,\"min\":%.3f,\"p50\":%.3f,\"p90\":%.3f,\"p99\":%.3f,\"max\":%.3f},", name, series->size,
            series_percentile(series, 0), series_percentile(series, .5), series_percentile(series, .9), series_percentile(series, .99),
            series_percentile(series, 1));
}

static void write_string(FILE *out, const char *name, const char *value)
{
    fprintf(out, "\"%s\":\"", name);
    for (; *value; value++)
        if (*value == '"' || *value == '\\')
            fprintf(out, "\\%c", *value);
        else if ((unsigned char)*value >= ' ')
            fputc(*value, out);
    fputs("\",", out);
}

static double deviation_percentile_ms(double share)
{
    uint64_t wanted = (uint64_t)ceil(share * (double)histogram_total), passed = 0;
    if (!histogram_total)
        return -1;
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++) {
        passed += histogram[i];
        if (passed >= wanted)
            return i / 100.0;
    }
    return HISTOGRAM_BUCKETS / 100.0;
}

/* Pairs of upper limit in ms and count; what is over the last limit comes with the limit null. */
static void write_histogram(FILE *out)
{
    static const double limits_ms[] = {.05, .1, .2, .3, .5, .75, 1, 1.5, 2, 3, 4, 5, 7.5, 10, 15, 20, 30, 50, 100};
    int bucket = 0;
    fputs("\"dev_histogram\":[", out);
    for (unsigned i = 0; i < sizeof limits_ms / sizeof *limits_ms; i++) {
        uint64_t found = 0;
        for (; bucket < (int)(limits_ms[i] * 100 + .5); bucket++)
            found += histogram[bucket];
        fprintf(out, "[%g,%llu],", limits_ms[i], (unsigned long long)found);
    }
    uint64_t found = 0;
    for (; bucket < HISTOGRAM_BUCKETS; bucket++)
        found += histogram[bucket];
    fprintf(out, "[null,%llu]],", (unsigned long long)found);
}

static void write_calls(FILE *out, const struct run *run, const struct totals *totals)
{
    write_string(out, "label", opt.label);
    write_string(out, "mode", opt.mode_name);
    write_string(out, "user", opt.user);
    write_string(out, "send", opt.send_name);
    fprintf(out, "\"n\":%d,\"rate\":%.1f,\"complete\":%s,\"cut_short\":%s,\"all_up_s\":%.3f,", opt.calls,
            opt.mode == MODE_CPS ? opt.rate : opt.ramp, run->complete ? "true" : "false", run->cut_short ? "true" : "false",
            run->all_up_s);
    fprintf(out, "\"attempted\":%ld,\"ok\":%ld,\"failed\":%ld,\"timeouts\":%ld,\"dropped\":%ld,\"bye_timeouts\":%ld,", count.attempted,
            count.answered, count.failed, count.timeouts, count.dropped, count.bye_timeouts);
    fprintf(out, "\"refused\":%ld,\"cancelled\":%ld,\"not_acked\":%ld,\"still_up\":%d,\"retrans\":%ld,\"legsA\":%ld,\"legsB\":%ld,",
            count.refused, count.cancelled, count.not_acked, legs_active(), count.retransmissions, totals->uac, totals->uas);
    fputs("\"codes\":{", out);
    const char *separator = "";
    for (int code = 1; code < 700; code++)
        if (count.codes[code]) {
            fprintf(out, "%s\"%d\":%ld", separator, code, count.codes[code]);
            separator = ",";
        }
    fputs("},", out);
    write_series(out, "setup_ms", &totals->setup);
    write_series(out, "ack_ms", &totals->ack);
    write_series(out, "first_rtp_ms", &totals->first);
    write_series(out, "first_audible_ms", &totals->audible);
    write_series(out, "first_rtp_after_200_ms", &totals->first_after_200);
    write_series(out, "first_audible_after_200_ms", &totals->audible_after_200);
}

static void write_rtp(FILE *out, const struct totals *totals)
{
    long count_of_legs = totals->uac + totals->uas;
    fprintf(out, "\"rtp\":{\"rx\":%ld,\"expected\":%ld,\"seq_lost\":%ld,\"seq_lost_whole_call\":%ld,\"ooo\":%ld,\"dup\":%ld,", totals->rx,
            totals->expected, totals->lost, totals->lost_whole_call, totals->reordered, totals->duplicates);
    fprintf(out, "\"ts_gap\":%ld,\"ssrc_changes\":%ld,\"deficit\":%.0f,\"short_calls\":%ld,\"no_rtp_legs\":%ld,\"silent_ratio\":%.4f,",
            totals->timestamp_gaps, totals->ssrc_changes, totals->deficit, totals->short_legs, totals->no_rtp,
            totals->rx ? (double)totals->silent / (double)totals->rx : 0.0);
    fprintf(out, "\"dev_ms\":{\"p50\":%.2f,\"p90\":%.2f,\"p99\":%.2f,\"p999\":%.2f,\"max\":%.2f},", deviation_percentile_ms(.5),
            deviation_percentile_ms(.9), deviation_percentile_ms(.99), deviation_percentile_ms(.999), (double)histogram_max / 1e6);
    write_histogram(out);
    fprintf(out, "\"rfc3550_mean_ms\":%.3f},", count_of_legs ? totals->jitter_ms / (double)count_of_legs : 0.0);
}

static void write_direction(FILE *out, const struct leg *listener)
{
    struct series series = {0};
    for (int i = 0; i < code_latency_count; i++)
        if (code_latencies[i].to == listener->index)
            series_add(&series, code_latencies[i].ms);
    series_sort(&series);
    const struct leg *talker = listener->hears < 0 ? NULL : leg_of_code(listener->hears);
    fputs("{", out);
    write_string(out, "from", talker ? talker->user : "");
    write_string(out, "to", listener->user);
    fprintf(out, "\"from_code\":%d,\"to_code\":%d,\"good\":%ld,\"bad\":%ld,", listener->hears, code_of(listener), listener->codes_good,
            listener->codes_bad);
    write_series(out, "latency_ms", &series);
    fputs("\"ms\":[", out);
    for (int i = 0; i < series.size && i < 1000; i++)
        fprintf(out, "%s%.3f", i ? "," : "", series.values[i]);
    fputs("]}", out);
    free(series.values);
}

static void write_bridge(FILE *out, const struct totals *totals)
{
    struct series all = {0};
    for (int i = 0; i < code_latency_count; i++)
        series_add(&all, code_latencies[i].ms);
    series_sort(&all);
    fputs("\"bridge\":{", out);
    write_series(out, "latency_ms", &all);
    fprintf(out, "\"id_ok\":%ld,\"id_bad\":%ld,\"directions\":[", totals->codes_good, totals->codes_bad);
    for (int i = 0; i < leg_count && i < MAX_DIRECTIONS; i++) {
        fputs(i ? "," : "", out);
        write_direction(out, &legs[i]);
    }
    fputs("]},", out);
    free(all.values);
}

static void write_memory(FILE *out, const char *when, const struct usage *usage)
{
    if (usage->pss_kb >= 0)
        fprintf(out, "\"pss_%s_mb\":%.2f,\"private_%s_mb\":%.2f,", when, (double)usage->pss_kb / 1024, when,
                (double)usage->private_kb / 1024);
    fprintf(out, "\"rss_%s_mb\":%.1f,\"procs_%s\":%d,", when, (double)usage->rss_kb / 1024, when, usage->processes);
}

static void write_server(FILE *out, const struct run *run, const struct totals *totals, double window_s)
{
    double cpu_s = run->close.cpu_s - run->open.cpu_s;
    long calls = opt.mode == MODE_WAIT ? totals->uas : totals->uac;
    double work = opt.mode == MODE_CPS ? (double)calls : (double)calls * window_s;
    fprintf(out, "\"server\":{\"cpu_s\":%.2f,\"cores\":%.4f,\"cpu_ms_per_call%s\":%.4f,", cpu_s, window_s > 0 ? cpu_s / window_s : -1,
            opt.mode == MODE_CPS ? "" : "_s", work > 0 ? cpu_s / work * 1000 : -1);
    write_memory(out, "base", &run->base);
    write_memory(out, "up", &run->up);
    write_memory(out, "win", &run->close);
    write_memory(out, "end", &run->end);
    if (run->up.pss_kb >= 0 && run->base.pss_kb >= 0 && calls)
        fprintf(out, "\"pss_kb_per_call\":%.1f,", (double)(run->up.pss_kb - run->base.pss_kb) / (double)calls);
    fprintf(out, "\"rss_kb_per_call\":%.1f,", calls ? (double)(run->close.rss_kb - run->base.rss_kb) / (double)calls : -1.0);
    fprintf(out, "\"threads\":%d,\"procs\":%d,\"cpu_total_s\":%.2f,", run->close.threads, run->close.processes,
            run->end.cpu_s - run->base.cpu_s);
    fputs("\"processes\":[", out);
    for (int i = 0; i < process_count; i++) {
        const struct process *process = &processes[i];
        fprintf(out, "%s{", i ? "," : "");
        write_string(out, "name", process->name);
        fprintf(out, "\"pid\":%d,\"parent\":%d,\"root\":%s,\"threads\":%d,\"cpu_s\":%.2f,\"pss_kb\":%ld,\"private_kb\":%ld}", process->pid,
                process->parent, process->is_root ? "true" : "false", process->threads, process->cpu_close_s - process->cpu_open_s,
                process->pss_kb, process->private_kb);
    }
    fputs("]},", out);
}

static void write_machine(FILE *out, const struct run *run, double window_s)
{
    double steal_s = run->steal_close_s - run->steal_open_s, self_s = run->self_close_s - run->self_open_s;
    double noise_s = run->busy_close_s - run->busy_open_s - (run->close.cpu_s - run->open.cpu_s) - self_s;
    fprintf(out, "\"harness\":{\"cpu_s\":%.2f,\"tick_late_max_ms\":%.2f,\"udp_buffer_errors\":%ld},", self_s, run->max_tick_late_ms,
            run->udp_errors_end - run->udp_errors_start);
    fprintf(out, "\"noise_cpu_s\":%.2f,\"steal_s\":%.2f,\"steal_share\":%.4f,\"steal_over_3_percent\":%s}\n", noise_s, steal_s,
            window_s > 0 ? steal_s / window_s : 0, window_s > 0 && steal_s / window_s > STEAL_LIMIT ? "true" : "false");
}

static void dump_legs(void)
{
    FILE *out = fopen(opt.dump_path, "w");
    if (!out)
        return;
    for (int i = 0; i < leg_count; i++) {
        const struct leg *leg = &legs[i];
        ns_t reference = leg->role == UAC ? leg->t_200 : leg->t_ack;
        fprintf(out, "%d %s state=%d rx=%ld lost=%ld maxdev=%.2f first=%.2f audible=%.2f codes=%ld/%ld hears=%d user=%s\n", i,
                leg->role == UAC ? "uac" : "uas", leg->state, leg->rx, leg->lost, (double)leg->max_deviation / 1e6,
                leg->t_first ? milliseconds(reference, leg->t_first) : -1, leg->t_audible ? milliseconds(reference, leg->t_audible) : -1,
                leg->codes_good, leg->codes_bad, leg->hears, leg->user);
    }
    fclose(out);
}

int report(const struct run *run)
{
    struct totals totals = {0};
    double window_s = window_close > window_open && window_open ? (double)(window_close - window_open) / 1e9 : 0;
    FILE *out = opt.json_path[0] ? fopen(opt.json_path, "a") : stdout;
    if (!out) {
        perror(opt.json_path);
        return -1;
    }
    add_all(&totals);
    fputs("{", out);
    write_calls(out, run, &totals);
    fprintf(out, "\"window_s\":%.3f,", window_s);
    write_rtp(out, &totals);
    if (opt.send == SEND_CODE)
        write_bridge(out, &totals);
    write_server(out, run, &totals, window_s);
    write_machine(out, run, window_s);
    if (out != stdout)
        fclose(out);
    if (opt.dump_path[0])
        dump_legs();
    return 0;
}
