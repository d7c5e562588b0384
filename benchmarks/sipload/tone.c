/* G.711 tables, the test tone, and the coded tone bursts that tell who is heard and how late.
 *
 * A burst is two frames of tone (the onset), then 16 bits of two frames each, tone for one and silence for zero: 14 bits of leg
 * number and a two-bit checksum; then silence until the period is over.
 */
#include "sipload.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TONE_HZ 1000
#define TONE_PEAK 10000
#define ONSET_LEVEL 3000 /* a sample over this starts a burst */
#define ONE_LEVEL 1500   /* mean level of a bit that counts as one */
#define QUIET_LEVEL 1000
#define QUIET_SAMPLES 800 /* so much quiet before the next onset is believed */
#define BIT_SAMPLES (2 * FRAME_SAMPLES)
#define CODE_BITS 16
#define CODE_FRAMES (2 + 2 * CODE_BITS)

enum { LISTENING = 0, DECODING = 1, WAITING_FOR_QUIET = -1 };

static int16_t linear[2][256]; /* [is A-law][code] */
static uint8_t tone[2][FRAME_SAMPLES], silence[2][FRAME_SAMPLES];

static int16_t from_ulaw(uint8_t code)
{
    code = (uint8_t)~code;
    int value = ((code & 0x0f) << 3) + 0x84;
    value <<= (code & 0x70) >> 4;
    return (int16_t)((code & 0x80) ? 0x84 - value : value - 0x84);
}

static int16_t from_alaw(uint8_t code)
{
    code ^= 0x55;
    int segment = (code & 0x70) >> 4, value = ((code & 0x0f) << 4) + 8;
    if (segment)
        value = (value + 0x100) << (segment - 1);
    return (int16_t)((code & 0x80) ? value : -value);
}

/* The code of the nearest linear value: slow, used for two frames only. */
static uint8_t encode(int law, int sample)
{
    int best = 0;
    for (int code = 1; code < 256; code++)
        if (abs(linear[law][code] - sample) < abs(linear[law][best] - sample))
            best = code;
    return (uint8_t)best;
}

void tone_init(void)
{
    for (int code = 0; code < 256; code++) {
        linear[0][code] = from_ulaw((uint8_t)code);
        linear[1][code] = from_alaw((uint8_t)code);
    }
    for (int law = 0; law < 2; law++)
        for (int i = 0; i < FRAME_SAMPLES; i++)
            tone[law][i] = encode(law, (int)(TONE_PEAK * cos(2 * M_PI * TONE_HZ * i / 8000.0)));
    memset(silence[0], 0xff, FRAME_SAMPLES);
    memset(silence[1], 0xd5, FRAME_SAMPLES);
}

const uint8_t *tone_frame(const struct leg *leg, int audible)
{
    int law = leg->payload_type == PT_PCMA;
    return audible ? tone[law] : silence[law];
}

/* Digital silence is a run of the two codes next to zero; a run of one equal code is no sound either. */
int is_audible(int payload_type, const uint8_t *payload, int size)
{
    uint8_t plus = payload_type == PT_PCMA ? 0xd5 : 0xff, minus = payload_type == PT_PCMA ? 0x55 : 0x7f;
    int varies = 0, sounds = 0;
    for (int i = 0; i < size; i++) {
        varies |= payload[i] != payload[0];
        sounds |= payload[i] != plus && payload[i] != minus;
    }
    return varies && sounds;
}

static unsigned checksum(unsigned id)
{
    unsigned sum = 1;
    for (; id; id >>= 2)
        sum += id & 3;
    return sum & 3;
}

static int first_code(void)
{
    return opt.code_base > 0 ? opt.code_base : 0;
}

int code_of(const struct leg *leg)
{
    return (first_code() + leg->index) & 0x3fff;
}

struct leg *leg_of_code(int code)
{
    int index = code - first_code();
    return index >= 0 && index < leg_count ? &legs[index] : NULL;
}

int code_is_tone(const struct leg *leg, int frame)
{
    if (frame < 2)
        return 1;
    if (frame >= CODE_FRAMES)
        return 0;
    unsigned id = (unsigned)code_of(leg), word = id | checksum(id) << 14;
    return (word >> ((frame - 2) / 2)) & 1;
}

static void code_decoded(struct leg *leg, int in_window)
{
    unsigned word = 0;
    for (int bit = 0; bit < CODE_BITS; bit++)
        if (leg->bit_count[bit] && leg->bit_level[bit] / leg->bit_count[bit] > ONE_LEVEL)
            word |= 1u << bit;
    unsigned id = word & 0x3fff;
    struct leg *talker = leg_of_code((int)id);
    if (word >> 14 != checksum(id) || talker == leg || (!talker && opt.code_base < 0)) {
        leg->codes_bad += in_window;
        return;
    }
    if (leg->hears < 0)
        leg->hears = (int)id;
    if (leg->hears != (int)id && !opt.takes_turns) {
        leg->codes_bad++;
        return;
    }
    leg->codes_good += in_window;
    if (in_window && talker && talker->t_onset)
        code_latency_add(talker->index, leg->index, (double)(leg->t_detected - talker->t_onset) / 1e6);
}

static void decode_sample(struct leg *leg, int level, int in_window)
{
    int64_t position = leg->detector_position++ - BIT_SAMPLES; /* 0: first sample of the first bit */
    if (position >= 0 && position < CODE_BITS * BIT_SAMPLES) {
        int64_t bit = position / BIT_SAMPLES, offset = position % BIT_SAMPLES;
        if (offset >= 80 && offset < 240) { /* the middle of the bit: safe against a shift of half a frame */
            leg->bit_level[bit] += level;
            leg->bit_count[bit]++;
        }
    }
    if (position >= CODE_BITS * BIT_SAMPLES + FRAME_SAMPLES) {
        code_decoded(leg, in_window);
        leg->detector = WAITING_FOR_QUIET;
        leg->detector_position = 0;
    }
}

void code_detect(struct leg *leg, const uint8_t *payload, int size, ns_t arrived, int in_window)
{
    const int16_t *table = linear[leg->payload_type == PT_PCMA];
    for (int i = 0; i < size; i++) {
        int level = abs(table[payload[i]]);
        if (leg->detector == LISTENING && level > ONSET_LEVEL) {
            leg->detector = DECODING;
            leg->detector_position = 0;
            leg->t_detected = arrived + (ns_t)i * SEC / 8000;
            memset(leg->bit_level, 0, sizeof leg->bit_level);
            memset(leg->bit_count, 0, sizeof leg->bit_count);
        }
        if (leg->detector == DECODING)
            decode_sample(leg, level, in_window);
        else if (leg->detector == WAITING_FOR_QUIET) {
            leg->detector_position = level < QUIET_LEVEL ? leg->detector_position + 1 : 0;
            if (leg->detector_position > QUIET_SAMPLES)
                leg->detector = LISTENING;
        }
    }
}
