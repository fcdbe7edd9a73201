//! What commands print on stdout.

use std::fmt;
use std::io::{self, ErrorKind, Write};

/// Prints a line, like `println!`, and goes on where nobody reads it any more (`tallymark project list | head`): a command
/// then ends as it would have. Whatever else keeps it from being written fails the command.
macro_rules! say {
    ($($text:tt)*) => {
        $crate::out::line(format_args!($($text)*))
    };
}
pub(crate) use say;

/// Prints a line; see [`say!`].
pub(crate) fn line(text: fmt::Arguments<'_>) {
    if let Err(error) = write_line(&mut io::stdout().lock(), text) {
        eprintln!("tallymark: cannot print the answer: {error}");
        std::process::exit(1);
    }
}

fn write_line(out: &mut impl Write, text: fmt::Arguments<'_>) -> io::Result<()> {
    match writeln!(out, "{text}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Failing(ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_has_seen_enough_is_no_failure_and_a_full_disk_is_one() {
        assert!(write_line(&mut Failing(ErrorKind::BrokenPipe), format_args!("x")).is_ok());
        assert!(write_line(&mut Failing(ErrorKind::StorageFull), format_args!("x")).is_err());
    }
}
