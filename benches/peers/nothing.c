/* A program that does nothing, and with -DBARE -nostdlib the least that a process can be. */

#ifdef BARE
void _start(void)
{
#if defined(__x86_64__)
    __asm__ volatile("syscall" : : "a"(60), "D"(0));
#elif defined(__aarch64__)
    register long status __asm__("x0") = 0, number __asm__("x8") = 93;
    __asm__ volatile("svc 0" : : "r"(status), "r"(number));
#else
#error "How does a process end here?"
#endif
}
#else
int main(void)
{
    return 0;
}
#endif
