/* The table of legs, and an index over Call-ID. */
#include "sipload.h"

#include <stdlib.h>
#include <string.h>

#define BUCKETS 65536

struct leg *legs;
int leg_count;
static int leg_capacity;
static struct leg *buckets[BUCKETS];

static unsigned bucket_of(const char *call_id)
{
    unsigned hash = 5381;
    while (*call_id)
        hash = hash * 33 + (unsigned char)*call_id++;
    return hash % BUCKETS;
}

void legs_init(int capacity)
{
    leg_capacity = capacity;
    legs = calloc((size_t)capacity, sizeof *legs);
    if (!legs)
        abort();
}

struct leg *leg_new(enum role role)
{
    if (leg_count >= leg_capacity)
        return NULL;
    struct leg *leg = &legs[leg_count];
    memset(leg, 0, sizeof *leg);
    leg->index = leg_count++;
    leg->role = role;
    leg->fd = leg->fd_rtcp = -1;
    leg->hears = -1;
    leg->payload_type = opt.payload_type;
    leg->dtmf_type = 101;
    leg->ssrc = run_id * 977u + (unsigned)leg->index;
    leg->seq = (uint16_t)(1000 + leg->index);
    leg->code_position = -(50 + (leg->index * 7) % opt.code_period_frames); /* talkers do not start together */
    return leg;
}

void leg_add_to_index(struct leg *leg)
{
    unsigned bucket = bucket_of(leg->call_id);
    leg->next_in_bucket = buckets[bucket];
    buckets[bucket] = leg;
}

struct leg *leg_find(const char *call_id)
{
    for (struct leg *leg = buckets[bucket_of(call_id)]; leg; leg = leg->next_in_bucket)
        if (!strcmp(leg->call_id, call_id))
            return leg;
    return NULL;
}

int legs_in_state(enum leg_state state)
{
    int found = 0;
    for (int i = 0; i < leg_count; i++)
        found += legs[i].state == state;
    return found;
}

int legs_active(void)
{
    return legs_in_state(LEG_UP) + legs_in_state(LEG_BYEING);
}

void leg_finish(struct leg *leg, enum leg_state state)
{
    leg->state = state;
    leg->t_done = now_ns();
    rtp_close(leg);
}
