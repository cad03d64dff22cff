//! Processors, from `/proc/cpuinfo` (`proc_cpuinfo(5)`).

use std::collections::BTreeSet;

use wire::facts::Cpu;

/// Understands the kernel's text. Without topology every thread counts as a core.
pub(super) fn parse(cpuinfo: &str, architecture: &str) -> Cpu {
    let mut cores: BTreeSet<(String, String)> = BTreeSet::new();
    let mut cpu = Cpu { architecture: architecture.to_owned(), ..Cpu::default() };
    for block in cpuinfo.split("\n\n") {
        let field = |name: &str| {
            block
                .lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(key, _)| key.trim() == name)
                .map(|(_, value)| value.trim().to_owned())
        };
        let Some(number) = field("processor") else { continue };
        cpu.threads += 1;
        if cpu.model.is_empty() {
            cpu.model = field("model name").or_else(|| field("Model")).unwrap_or_default();
        }
        cores.insert((field("physical id").unwrap_or_default(), field("core id").unwrap_or(number)));
    }
    cpu.cores = u32::try_from(cores.len()).unwrap_or(cpu.threads);
    cpu
}
