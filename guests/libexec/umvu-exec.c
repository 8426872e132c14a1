/*
 * umvu-exec - a program for the time between two programs. A guest that is to execute another program than it
 * asked for, with other arguments, executes this first; before its first instruction the supervisor changes its
 * registers, so that the system call is execve(2) of what is meant (native/src/rewritten_call.h).
 */
__asm__(".globl _start\n"
	"_start:\n"
	"	syscall\n"
	"	ud2\n");
