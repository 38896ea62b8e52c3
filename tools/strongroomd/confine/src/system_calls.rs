//! Which system calls the process makes.

use std::collections::BTreeMap;
use std::env::consts::ARCH;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter_all_threads, sock_filter,
};

/// Calls that the daemon never makes and that whoever takes it over would: programs, other
/// processes' memory, the kernel, other roots, and ways around what is refused by its arguments.
static REFUSED: &[i64] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_open_by_handle_at,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_personality,
    libc::SYS_pkey_mprotect,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_fork,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_vfork,
];

/// Calls that are refused if an argument compares so with a value.
static REFUSED_IF: &[(i64, u8, SeccompCmpOp, u64)] = &[
    // No network: none but Unix sockets.
    (libc::SYS_socket, 0, SeccompCmpOp::Ne, UNIX),
    (libc::SYS_socketpair, 0, SeccompCmpOp::Ne, UNIX),
    // Nothing is run but what was there at the start: no memory that was written, and no file.
    (libc::SYS_mmap, 2, SeccompCmpOp::MaskedEq(EXEC), EXEC),
    (libc::SYS_mprotect, 2, SeccompCmpOp::MaskedEq(EXEC), EXEC),
    (libc::SYS_shmat, 2, SeccompCmpOp::MaskedEq(SHM_EXEC), SHM_EXEC),
    // No child process, which would have a copy of the memory: threads only.
    (libc::SYS_clone, 0, SeccompCmpOp::MaskedEq(THREAD), 0),
];

const EXEC: u64 = 0x4;
const SHM_EXEC: u64 = 0o100_000;
const UNIX: u64 = 1;
const THREAD: u64 = 0x1_0000;

/// Calls that a C library tries first, and then does as well without: their arguments lie in memory,
/// where a filter does not see them.
static ABSENT: &[i64] = &[libc::SYS_clone3];

/// On x86-64 the same calls have numbers with this bit, by which a program of x32 makes them, where the
/// kernel knows any. No other call has it.
const OTHER_NUMBERS: u32 = 0x4000_0000;

/// The calls are refused from now on, in all threads.
pub(crate) fn restrict() -> Result<(), String> {
    for filter in [Ok(by_other_numbers()), refused(), absent()] {
        let filter = filter.map_err(|error| error.to_string())?;
        apply_filter_all_threads(&filter).map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn refused() -> Result<BpfProgram, seccompiler::BackendError> {
    let always = REFUSED.iter().map(|call| Ok((*call, Vec::new())));
    let by_argument = REFUSED_IF.iter().map(|(call, argument, operator, value)| {
        let argument =
            SeccompCondition::new(*argument, SeccompCmpArgLen::Dword, operator.clone(), *value)?;
        Ok((*call, vec![SeccompRule::new(vec![argument])?]))
    });
    let rules = always.chain(by_argument).collect::<Result<_, _>>()?;
    filter(rules, libc::EPERM)
}

/// A list has one call in each row, so these are refused by instructions of our own.
fn by_other_numbers() -> BpfProgram {
    const LOAD: u16 = 0x20;
    const JUMP_IF_AT_LEAST: u16 = 0x35;
    const RETURN: u16 = 0x06;
    /// Where the number of a call is in what a filter sees of it.
    const NUMBER: u32 = 0;
    let step = |code, k| sock_filter { code, jt: 0, jf: 0, k };
    vec![
        step(LOAD, NUMBER),
        sock_filter { jf: 1, ..step(JUMP_IF_AT_LEAST, OTHER_NUMBERS) },
        step(RETURN, SeccompAction::Errno(libc::EPERM.unsigned_abs()).into()),
        step(RETURN, SeccompAction::Allow.into()),
    ]
}

fn absent() -> Result<BpfProgram, seccompiler::BackendError> {
    filter(ABSENT.iter().map(|call| (*call, Vec::new())).collect(), libc::ENOSYS)
}

fn filter(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    errno: i32,
) -> Result<BpfProgram, seccompiler::BackendError> {
    let refused = SeccompAction::Errno(errno.unsigned_abs());
    SeccompFilter::new(rules, SeccompAction::Allow, refused, ARCH.try_into()?)?.try_into()
}
