//! Which system calls the process makes.

use std::env::consts::ARCH;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter_all_threads,
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
];

/// Calls that are refused if an argument, as far as a mask goes, is such a value.
static REFUSED_IF: &[(i64, u8, SeccompCmpOp)] = &[
    // No network: none but Unix sockets.
    (libc::SYS_socket, 0, SeccompCmpOp::Ne),
    (libc::SYS_socketpair, 0, SeccompCmpOp::Ne),
    // No memory that is written and run, and none that becomes what is run.
    (libc::SYS_mmap, 2, SeccompCmpOp::MaskedEq(WRITE_AND_EXEC)),
    (libc::SYS_mprotect, 2, SeccompCmpOp::MaskedEq(EXEC)),
];

const WRITE_AND_EXEC: u64 = 0x2 | 0x4;
const EXEC: u64 = 0x4;
const UNIX: u64 = 1;

/// The calls are refused from now on, in all threads.
pub(crate) fn restrict() -> Result<(), String> {
    let filter = filter().map_err(|error| error.to_string())?;
    apply_filter_all_threads(&filter).map_err(|error| error.to_string())
}

fn filter() -> Result<BpfProgram, seccompiler::BackendError> {
    let always = REFUSED.iter().map(|call| Ok((*call, Vec::new())));
    let by_argument = REFUSED_IF.iter().map(|(call, argument, operator)| {
        let value = match operator {
            SeccompCmpOp::MaskedEq(mask) => *mask,
            _ => UNIX,
        };
        let argument =
            SeccompCondition::new(*argument, SeccompCmpArgLen::Dword, operator.clone(), value)?;
        Ok((*call, vec![SeccompRule::new(vec![argument])?]))
    });
    let rules = always.chain(by_argument).collect::<Result<_, _>>()?;
    let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    SeccompFilter::new(rules, SeccompAction::Allow, refused, ARCH.try_into()?)?.try_into()
}
