//! What GRUB is told: `/etc/default/grub.d/lotse.cfg`, which a shell reads.

/// Bytes that the shell or GRUB's own language would read as something else than themselves.
const SPECIAL: &str = "'\"`$\\;&|<>{}";

/// Why words cannot be on the kernel command line; `None` when they can.
pub(super) fn unfit(command_line: &str) -> Option<String> {
    let bad = command_line.chars().find(|c| c.is_control() || SPECIAL.contains(*c))?;
    Some(format!("the kernel command line `{}` has {bad:?} in it", command_line.escape_debug()))
}

/// The file. A serial console for the kernel is one for the menu, too.
pub(super) fn settings(command_line: &str) -> String {
    let mut text = format!(
        "# Written by Lotse.\nGRUB_TIMEOUT=2\nGRUB_DISABLE_OS_PROBER=true\nGRUB_CMDLINE_LINUX='{command_line}'\n"
    );
    let serial = command_line.split(' ').find_map(|word| word.strip_prefix("console=ttyS"));
    if let Some((unit, speed)) = serial.map(|serial| serial.split_once(',').unwrap_or((serial, "115200"))) {
        let speed: String = speed.chars().take_while(char::is_ascii_digit).collect();
        text.push_str(&format!(
            "GRUB_TERMINAL=\"console serial\"\nGRUB_SERIAL_COMMAND=\"serial --unit={unit} --speed={speed}\"\n"
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_console_is_in_the_boot_menu_too() {
        let text = settings("console=tty0 console=ttyS0,115200");
        assert!(text.contains("GRUB_SERIAL_COMMAND=\"serial --unit=0 --speed=115200\""), "{text}");
        assert!(!settings("quiet").contains("serial"));
    }

    #[test]
    fn a_command_line_that_a_shell_would_understand_is_unfit() {
        assert_eq!(unfit("quiet console=ttyS0,115200n8 root.x=/a-b:c@d%e#f"), None);
        for text in ["'; reboot '", "$(reboot)", "a\nb", "a;b", "`a`"] {
            assert!(unfit(text).is_some(), "{text}");
        }
    }
}
