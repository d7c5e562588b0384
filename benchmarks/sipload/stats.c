/* Series of numbers and their percentiles. */
#include "sipload.h"

#include <math.h>
#include <stdlib.h>

struct code_latency *code_latencies;
int code_latency_count;
static int code_latency_capacity;

static void *grown(void *memory, int *capacity, size_t item)
{
    *capacity = *capacity ? *capacity * 2 : 1024;
    memory = realloc(memory, (size_t)*capacity * item);
    if (!memory)
        abort();
    return memory;
}

void series_add(struct series *series, double value)
{
    if (series->size == series->capacity)
        series->values = grown(series->values, &series->capacity, sizeof value);
    series->values[series->size++] = value;
}

static int by_value(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

void series_sort(struct series *series)
{
    if (series->size)
        qsort(series->values, (size_t)series->size, sizeof *series->values, by_value);
}

double series_percentile(const struct series *series, double share)
{
    int index = (int)ceil(share * series->size) - 1;
    if (!series->size)
        return -1;
    return series->values[index < 0 ? 0 : index];
}

void code_latency_add(int from, int to, double ms)
{
    if (code_latency_count == code_latency_capacity)
        code_latencies = grown(code_latencies, &code_latency_capacity, sizeof *code_latencies);
    code_latencies[code_latency_count++] = (struct code_latency){from, to, ms};
}
