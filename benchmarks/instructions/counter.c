/* A plugin of QEMU's user-mode emulation that counts the instructions that a program executes.

   The program asks for the count by sched_get_priority_min(MARK), a system call that changes nothing; the plugin then
   prints "mark MARK COUNT" to standard error. The declarations are those parts of QEMU's plugin interface, version 1,
   that are used here: Debian has no package with its header. Threads add to one count without a lock, which is exact
   as long as only one of them is busy. */

#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>

#define EXPORT __attribute__((visibility("default")))

struct qemu_plugin_tb;
enum operation { ADD_U64 };

void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t plugin, void (*callback)(uint64_t, struct qemu_plugin_tb *));
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *block, enum operation, void *number, uint64_t by);
void qemu_plugin_register_vcpu_syscall_cb(
    uint64_t plugin, void (*callback)(uint64_t, unsigned, int64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                                      uint64_t, uint64_t, uint64_t));

EXPORT int qemu_plugin_version = 1;

static uint64_t executed;

static void translated(uint64_t plugin, struct qemu_plugin_tb *block)
{
    (void)plugin;
    qemu_plugin_register_vcpu_tb_exec_inline(block, ADD_U64, &executed, qemu_plugin_tb_n_insns(block));
}

static void called(uint64_t plugin, unsigned cpu, int64_t number, uint64_t mark, uint64_t b, uint64_t c, uint64_t d,
                   uint64_t e, uint64_t f, uint64_t g, uint64_t h)
{
    (void)plugin, (void)cpu, (void)b, (void)c, (void)d, (void)e, (void)f, (void)g, (void)h;
    if (number == SYS_sched_get_priority_min)
        fprintf(stderr, "mark %" PRIu64 " %" PRIu64 "\n", mark, executed);
}

EXPORT int qemu_plugin_install(uint64_t plugin, const void *info, int argc, char **argv)
{
    (void)info, (void)argc, (void)argv;
    qemu_plugin_register_vcpu_tb_trans_cb(plugin, translated);
    qemu_plugin_register_vcpu_syscall_cb(plugin, called);
    return 0;
}
