/* CPU and memory of the server: the given processes and all their descendants, also those that appear during the run. */
#define _GNU_SOURCE
#include "sipload.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define MAX_PROCESSES 1024
#define MAX_SEEN 32768

struct process processes[MAX_PROCESSES];
int process_count;
static struct process seen[MAX_SEEN]; /* everything in /proc, one scan */

static int read_text(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t length = read(fd, text, size - 1);
    close(fd);
    if (length <= 0)
        return -1;
    text[length] = 0;
    return 0;
}

static int read_stat(int pid, struct process *process)
{
    char path[64], text[2048];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    if (read_text(path, text, sizeof text))
        return -1;
    char *name = strchr(text, '('), *rest = strrchr(text, ')');
    if (!name || !rest)
        return -1;
    memset(process, 0, sizeof *process);
    process->pid = pid;
    process->pss_kb = process->private_kb = -1;
    snprintf(process->name, sizeof process->name, "%.*s", (int)(rest - name - 1), name + 1);
    unsigned long user, system;
    long threads, rss;
    char state;
    if (sscanf(rest + 2, "%c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %*d %ld %*d %llu %*u %ld", &state,
               &process->parent, &user, &system, &threads, &process->started, &rss) != 7)
        return -1;
    process->alive = state != 'Z' && state != 'X';
    process->threads = (int)threads;
    process->cpu_s = (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
    process->rss_kb = rss * (sysconf(_SC_PAGESIZE) / 1024);
    return 0;
}

static struct process *tracked(int pid)
{
    for (int i = 0; i < process_count; i++)
        if (processes[i].pid == pid)
            return &processes[i];
    return NULL;
}

void procs_add_root(int pid)
{
    struct process process;
    if (process_count < MAX_PIDS && !tracked(pid) && !read_stat(pid, &process)) {
        process.is_root = 1;
        processes[process_count++] = process;
    }
}

static int read_all(void)
{
    DIR *directory = opendir("/proc");
    int found = 0;
    if (!directory)
        return 0;
    for (struct dirent *entry; (entry = readdir(directory)) && found < MAX_SEEN;) {
        int pid = atoi(entry->d_name);
        if (pid > 0 && pid != getpid() && !read_stat(pid, &seen[found]))
            found++;
    }
    closedir(directory);
    return found;
}

static void refresh(struct process *process, const struct process *fresh)
{
    process->alive = fresh->alive;
    process->threads = fresh->threads;
    process->cpu_s = fresh->cpu_s;
    process->rss_kb = fresh->rss_kb;
    memcpy(process->name, fresh->name, sizeof process->name);
}

/* One process that ended keeps the CPU time it was last seen with. */
struct usage procs_scan(void)
{
    struct usage sum = {.pss_kb = -1, .private_kb = -1};
    if (!process_count)
        return sum;
    int found = read_all();
    for (int i = 0; i < process_count; i++)
        processes[i].alive = 0;
    for (int i = 0; i < found; i++) {
        struct process *known = tracked(seen[i].pid);
        if (known && known->started == seen[i].started)
            refresh(known, &seen[i]);
    }
    for (int before = -1; before != process_count;) { /* until no new descendant is found */
        before = process_count;
        for (int i = 0; i < found && process_count < MAX_PROCESSES; i++) {
            struct process *parent = tracked(seen[i].parent);
            if (parent && parent->alive && !tracked(seen[i].pid))
                processes[process_count++] = seen[i];
        }
    }
    for (int i = 0; i < process_count; i++) {
        sum.cpu_s += processes[i].cpu_s;
        if (processes[i].alive) {
            sum.rss_kb += processes[i].rss_kb;
            sum.threads += processes[i].threads;
            sum.processes++;
        }
    }
    return sum;
}

static long field_kb(const char *text, const char *name)
{
    const char *found = strstr(text, name);
    return found ? atol(found + strlen(name)) : 0;
}

static void read_memory(struct process *process)
{
    char path[64], text[4096];
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", process->pid);
    if (read_text(path, text, sizeof text))
        return;
    process->pss_kb = field_kb(text, "\nPss:");
    process->private_kb = field_kb(text, "\nPrivate_Clean:") + field_kb(text, "\nPrivate_Dirty:");
}

struct usage procs_memory(void)
{
    struct usage sum = procs_scan();
    for (int i = 0; i < process_count; i++) {
        if (!processes[i].alive)
            continue;
        read_memory(&processes[i]);
        if (processes[i].pss_kb < 0)
            continue;
        sum.pss_kb = (sum.pss_kb < 0 ? 0 : sum.pss_kb) + processes[i].pss_kb;
        sum.private_kb = (sum.private_kb < 0 ? 0 : sum.private_kb) + processes[i].private_kb;
    }
    return sum;
}

void procs_mark_open(void)
{
    for (int i = 0; i < process_count; i++)
        processes[i].cpu_open_s = processes[i].cpu_s;
}

void procs_mark_close(void)
{
    for (int i = 0; i < process_count; i++)
        processes[i].cpu_close_s = processes[i].cpu_s;
}

double system_busy_s(double *steal_s)
{
    unsigned long user, nice, system, idle, iowait, irq, softirq, steal;
    char text[512];
    *steal_s = 0;
    if (read_text("/proc/stat", text, sizeof text) ||
        sscanf(text, "cpu %lu %lu %lu %lu %lu %lu %lu %lu", &user, &nice, &system, &idle, &iowait, &irq, &softirq, &steal) != 8)
        return 0;
    double hz = (double)sysconf(_SC_CLK_TCK);
    *steal_s = (double)steal / hz;
    return (double)(user + nice + system + irq + softirq) / hz;
}

/* Datagrams the kernel threw away because a receive buffer was full, ours or somebody else's. */
long udp_buffer_errors(void)
{
    char text[8192];
    if (read_text("/proc/net/snmp", text, sizeof text))
        return -1;
    char *names = strstr(text, "\nUdp: "), *numbers = names ? strstr(names + 1, "\nUdp: ") : NULL;
    long errors = -1;
    if (numbers && sscanf(numbers, "\nUdp: %*d %*d %*d %*d %ld", &errors) != 1)
        return -1;
    return errors;
}

double self_cpu_s(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}
