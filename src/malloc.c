/*
 * SQLite copies a large message twice with malloc. After the first such copy is freed, glibc serves
 * later ones (up to 32 MiB) from its heap, and keeps that memory. A fixed threshold returns every
 * large copy to the system as soon as SQLite frees it. Rust code uses another allocator.
 */
#ifdef __linux__
#include <malloc.h>

#ifdef M_MMAP_THRESHOLD
__attribute__((constructor)) static void limit_retained_memory(void) {
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
}
#endif
#endif
