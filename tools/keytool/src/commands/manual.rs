//! `man` and `completions`.

use crate::cli::{self, CompletionsArgs, ManArgs};
use crate::errors::{Failure, Result};
use crate::exit::Exit;

/// `man`.
pub(super) fn man(args: &ManArgs) -> Result<()> {
    let failed =
        |error: std::io::Error| Failure::new(Exit::File, "cannot write the man pages").cause(error);
    match &args.dir {
        Some(dir) => {
            std::fs::create_dir_all(dir).map_err(failed)?;
            clap_mangen::generate_to(cli::command(), dir).map_err(failed)
        }
        None => {
            clap_mangen::Man::new(cli::command()).render(&mut std::io::stdout()).map_err(failed)
        }
    }
}

/// `completions`.
pub(super) fn completions(args: &CompletionsArgs) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut cli::command(), "strongroom", &mut script);
    crate::files::write(None, &script)
}
