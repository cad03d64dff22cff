//! `lotse`: the server, and the command line that talks to it.

use clap::Parser;

fn main() -> std::process::ExitCode {
    server::cli::main(server::cli::Arguments::parse())
}
