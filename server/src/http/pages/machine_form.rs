//! The form for what is wanted of a machine: the same for a new client, an adopted machine, a client that is edited, and a preset.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
};

use serde::{Deserialize, Serialize};
use wire::{
    Mac,
    problem::{FieldProblem, Problem},
};

use super::{Rejection, words};
use crate::{
    app::{layouts, passwords::Passwords, presets},
    context::Ctx,
    domain::client::{
        BaseMethod, ClientConfig, DesktopChoice, DesktopEnvironment, Directory, DirectorySchema, HomeServer,
        Interface, Ipv4Method, Network, Printer, RemoteAccess, User,
    },
};

/// What somebody types.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct MachineForm {
    pub(super) name: String,
    pub(super) mac: String,
    pub(super) group: String,
    pub(super) distribution: String,
    pub(super) layout: String,
    pub(super) base: String,
    pub(super) user: String,
    pub(super) full_name: String,
    pub(super) password: String,
    pub(super) locale: String,
    pub(super) keyboard: String,
    pub(super) timezone: String,
    pub(super) network: String,
    pub(super) address: String,
    pub(super) gateway: String,
    pub(super) nameservers: String,
    pub(super) domain: String,
    pub(super) proxy: String,
    pub(super) ntp: String,
    pub(super) serial_console: String,
    pub(super) purchased_on: String,
    pub(super) ssh_keys: String,
    pub(super) directory_uris: String,
    pub(super) directory_base: String,
    pub(super) directory_schema: String,
    pub(super) directory_ca: String,
    pub(super) home_export: String,
    pub(super) home_options: String,
    pub(super) printers: String,
    pub(super) desktop_environment: String,
    pub(super) desktop_remote: String,
    /// Fingerprints were compared.
    pub(super) compared: String,
    /// What happens next: how the machine comes, or that the values are only kept as a preset.
    pub(super) then: String,
    pub(super) preset: String,
    /// Version of the client that was read.
    pub(super) version: String,
}

fn words_of(text: &str) -> Vec<String> {
    text.split([' ', ',', ';', '\n', '\r', '\t']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn lines_of(text: &str) -> Vec<String> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

impl MachineForm {
    /// The form with what a configuration says.
    pub(super) fn of(config: &ClientConfig) -> Self {
        let user = config.users.first().cloned().unwrap_or_default();
        let mut form = Self {
            distribution: config.distribution.clone(),
            layout: config.layout.clone(),
            base: if config.base == BaseMethod::Debootstrap { "debootstrap" } else { "image" }.to_owned(),
            user: user.name,
            full_name: user.full_name,
            locale: config.locale.clone(),
            keyboard: config.keyboard.clone(),
            timezone: config.timezone.clone(),
            network: "dhcp".to_owned(),
            nameservers: config
                .network
                .nameservers
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(" "),
            domain: config.domain.clone(),
            proxy: config.proxy.clone(),
            ntp: config.ntp.join(" "),
            serial_console: config.serial_console.clone(),
            purchased_on: config.purchased_on.clone(),
            ssh_keys: config.root_ssh_keys.join("\n"),
            ..Self::default()
        };
        if let Some(Ipv4Method::Static { address, prefix, gateway }) =
            config.network.interfaces.first().map(|interface| &interface.ipv4)
        {
            form.network = "static".to_owned();
            form.address = format!("{address}/{prefix}");
            form.gateway = gateway.map(|gateway| gateway.to_string()).unwrap_or_default();
        }
        if let Some(directory) = &config.directory {
            form.directory_uris = directory.uris.join(" ");
            form.directory_base.clone_from(&directory.base);
            form.directory_schema = directory.schema.as_str().to_owned();
            form.directory_ca.clone_from(&directory.ca_pem);
        }
        if let Some(home) = &config.home {
            form.home_export.clone_from(&home.export);
            form.home_options.clone_from(&home.options);
        }
        let desktop = config.desktop.unwrap_or_default();
        desktop.environment.as_str().clone_into(&mut form.desktop_environment);
        desktop.remote.as_str().clone_into(&mut form.desktop_remote);
        let printer = |printer: &Printer| format!("{} {} {}", printer.name, printer.uri, printer.model);
        form.printers = config.printers.iter().map(printer).collect::<Vec<_>>().join("\n");
        form
    }

    /// The form for a machine that nobody has configured yet: as people expect it who read this language.
    pub(super) fn fresh(language: &str) -> Self {
        let mut config = ClientConfig::default();
        if language == "de" {
            "de_DE.UTF-8".clone_into(&mut config.locale);
            "de".clone_into(&mut config.keyboard);
            "Europe/Berlin".clone_into(&mut config.timezone);
        }
        Self::of(&config)
    }

    /// What is wanted, from what was wanted before; what the form does not show stays.
    pub(super) fn config(&self, present: &ClientConfig) -> Result<ClientConfig, Vec<FieldProblem>> {
        let mut problems = Vec::new();
        let text = |text: &String| text.trim().to_owned();
        let network = self.network(&present.network, &mut problems);
        let printers = self.printers(&mut problems);
        let keys = lines_of(&self.ssh_keys);
        let config = ClientConfig {
            distribution: text(&self.distribution),
            base: if self.base == "debootstrap" { BaseMethod::Debootstrap } else { BaseMethod::Image },
            layout: text(&self.layout),
            domain: text(&self.domain),
            locale: text(&self.locale),
            keyboard: text(&self.keyboard),
            timezone: text(&self.timezone),
            ntp: words_of(&self.ntp),
            proxy: text(&self.proxy),
            serial_console: text(&self.serial_console),
            network,
            users: self.users(present, &keys),
            root_ssh_keys: keys,
            directory: self.directory(),
            home: (!self.home_export.trim().is_empty())
                .then(|| HomeServer { export: text(&self.home_export), options: text(&self.home_options) }),
            printers,
            desktop: self.desktop(),
            purchased_on: text(&self.purchased_on),
        };
        if problems.is_empty() { Ok(config) } else { Err(problems) }
    }

    /// The form shows the first user; others stay.
    fn users(&self, present: &ClientConfig, keys: &[String]) -> Vec<User> {
        let others = present.users.iter().skip(1).cloned();
        if self.user.trim().is_empty() {
            return others.collect();
        }
        let first = present.users.first().filter(|user| user.name == self.user.trim());
        let mut user =
            first.cloned().unwrap_or(User { sudo: true, ssh_keys: keys.to_vec(), ..User::default() });
        if user.ssh_keys == present.root_ssh_keys {
            user.ssh_keys = keys.to_vec();
        }
        self.user.trim().clone_into(&mut user.name);
        self.full_name.trim().clone_into(&mut user.full_name);
        std::iter::once(user).chain(others).collect()
    }

    /// The form shows the first interface; others stay.
    fn network(&self, present: &Network, problems: &mut Vec<FieldProblem>) -> Network {
        let mut network = present.clone();
        let mut wrong = |field: &str, message: &str| {
            problems.push(FieldProblem { field: field.to_owned(), message: message.to_owned() });
        };
        network.nameservers = words_of(&self.nameservers)
            .iter()
            .filter_map(|word| {
                let address: Option<IpAddr> = word.parse().ok();
                if address.is_none() {
                    wrong("nameservers", "must be addresses, such as 10.0.0.1");
                }
                address
            })
            .collect();
        let ipv4 = if self.network == "static" {
            let parsed = self.address.trim().split_once('/').and_then(|(address, prefix)| {
                Some((address.parse::<Ipv4Addr>().ok()?, prefix.parse::<u8>().ok()?))
            });
            let gateway = match self.gateway.trim() {
                "" => None,
                text => {
                    let gateway = text.parse().ok();
                    if gateway.is_none() {
                        wrong("gateway", "must be an address, such as 10.0.0.1");
                    }
                    gateway
                }
            };
            if let Some((address, prefix)) = parsed {
                Ipv4Method::Static { address, prefix, gateway }
            } else {
                wrong("address", "must be an address with the length of its network, such as 10.0.0.5/24");
                Ipv4Method::Dhcp
            }
        } else {
            Ipv4Method::Dhcp
        };
        match network.interfaces.first_mut() {
            Some(first) if matches!((&first.ipv4, &ipv4), (Ipv4Method::Off, Ipv4Method::Dhcp)) => {}
            Some(first) => first.ipv4 = ipv4,
            None if ipv4 == Ipv4Method::Dhcp => {}
            None => network.interfaces.push(Interface { ipv4, ..Interface::default() }),
        }
        network
    }

    fn directory(&self) -> Option<Directory> {
        let uris = words_of(&self.directory_uris);
        (!uris.is_empty() || !self.directory_base.trim().is_empty()).then(|| Directory {
            uris,
            base: self.directory_base.trim().to_owned(),
            schema: DirectorySchema::from_word(&self.directory_schema).unwrap_or_default(),
            ca_pem: lines_of(&self.directory_ca).iter().flat_map(|line| [line.as_str(), "\n"]).collect(),
        })
    }

    fn desktop(&self) -> Option<DesktopChoice> {
        let environment = DesktopEnvironment::from_word(&self.desktop_environment).unwrap_or_default();
        let remote = RemoteAccess::from_word(&self.desktop_remote).unwrap_or_default();
        Some(DesktopChoice { environment, remote }).filter(|desktop| desktop.is_any())
    }

    fn printers(&self, problems: &mut Vec<FieldProblem>) -> Vec<Printer> {
        let mut printers = Vec::new();
        for line in lines_of(&self.printers) {
            let words: Vec<_> = line.split_whitespace().collect();
            match words.as_slice() {
                [name, uri] | [name, uri, _] => printers.push(Printer {
                    name: (*name).to_owned(),
                    uri: (*uri).to_owned(),
                    model: words.get(2).copied().unwrap_or("everywhere").to_owned(),
                }),
                _ => problems.push(FieldProblem {
                    field: "printers".to_owned(),
                    message: "must be a name and a URI in each line, such as office ipp://10.0.0.9/ipp/print"
                        .to_owned(),
                }),
            }
        }
        printers
    }

    /// Hardware addresses.
    pub(super) fn macs(&self) -> Result<Vec<Mac>, Vec<FieldProblem>> {
        words_of(&self.mac).iter().map(|word| word.parse()).collect::<Result<_, _>>().map_err(|_| {
            let message = "must be hardware addresses, such as 52:54:00:12:34:56".to_owned();
            vec![FieldProblem { field: "mac".to_owned(), message }]
        })
    }

    /// Names of groups.
    pub(super) fn groups(&self) -> Vec<String> {
        words_of(&self.group)
    }

    /// The first user's password.
    pub(super) fn passwords(&self) -> Passwords {
        if self.password.is_empty() || self.user.trim().is_empty() {
            return Passwords::default();
        }
        Passwords(BTreeMap::from([(self.user.trim().to_owned(), self.password.clone())]))
    }
}

/// The field of the form from which a field of the API comes.
pub(super) fn field_of(field: &str) -> String {
    let field = field.trim_start_matches("config.");
    let known = [
        ("users[0].name", "user"),
        ("users[0].full_name", "full_name"),
        ("users[0].ssh_keys", "ssh_keys"),
        ("root_ssh_keys", "ssh_keys"),
        ("passwords", "password"),
        ("network.interfaces[0].ipv4.gateway", "gateway"),
        ("network.interfaces[0]", "address"),
        ("ntp", "ntp"),
        ("macs", "mac"),
        ("layout", "layout"),
        ("directory.uris", "directory_uris"),
        ("directory.base", "directory_base"),
        ("directory.ca_pem", "directory_ca"),
        ("home.export", "home_export"),
        ("home.options", "home_options"),
        ("printers", "printers"),
    ];
    known.iter().find(|(begin, _)| field.starts_with(begin)).map_or(field, |(_, form)| form).to_owned()
}

/// What the form offers to choose from, and what is wrong with what was typed.
#[derive(Debug, Serialize)]
pub(super) struct FormView {
    pub(super) form: MachineForm,
    /// Name and title of each.
    distributions: Vec<(String, String)>,
    /// Name and title of each.
    layouts: Vec<(String, String)>,
    presets: Vec<String>,
    faults: BTreeMap<String, String>,
    problem: Option<Problem>,
    /// What lies in the part that is folded away has a fault, or was filled in.
    open: bool,
}

/// Fields that are always seen.
const IN_FRONT: [&str; 8] =
    ["name", "mac", "group", "distribution", "layout", "user", "password", "compared"];

impl FormView {
    pub(super) async fn new(
        ctx: &Ctx,
        language: &str,
        form: MachineForm,
        faults: &[FieldProblem],
        problem: Option<Problem>,
    ) -> Result<Self, Rejection> {
        let mut tx = ctx.db.read().await?;
        let faults = words::faults(ctx, language, field_of, faults);
        let hidden = faults.keys().any(|field| !IN_FRONT.contains(&field.as_str()));
        Ok(Self {
            distributions: ctx
                .catalog
                .distributions()
                .map(|(name, _)| (name.to_owned(), words::distribution_title(ctx, language, name)))
                .collect(),
            layouts: layouts::list(ctx, &mut tx)
                .await?
                .into_iter()
                .map(|layout| (layout.name.clone(), words::layout_title(language, &layout)))
                .collect(),
            presets: presets::list(&mut tx).await?.into_iter().map(|preset| preset.name).collect(),
            open: hidden || form.network == "static",
            form: MachineForm { password: String::new(), ..form },
            faults,
            problem,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_form_shows_comes_back_and_what_it_does_not_show_stays() {
        let static_ipv4 = Ipv4Method::Static {
            address: Ipv4Addr::new(10, 0, 0, 5),
            prefix: 24,
            gateway: Some(Ipv4Addr::new(10, 0, 0, 1)),
        };
        let config = ClientConfig {
            ntp: vec!["a.example".to_owned(), "b.example".to_owned()],
            network: Network {
                nameservers: vec!["10.0.0.3".parse().unwrap()],
                interfaces: vec![
                    Interface { ipv4: static_ipv4, ..Interface::default() },
                    Interface {
                        mac: "525400000001".parse().ok(),
                        ipv4: Ipv4Method::Off,
                        ..Interface::default()
                    },
                ],
            },
            users: vec![
                User {
                    name: "ann".to_owned(),
                    full_name: "Ann Müller".to_owned(),
                    sudo: false,
                    ..User::default()
                },
                User { name: "ben".to_owned(), ..User::default() },
            ],
            directory: Some(Directory {
                uris: vec!["ldap://a".to_owned(), "ldap://b".to_owned()],
                base: "dc=a".to_owned(),
                schema: DirectorySchema::Ad,
                ca_pem: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned(),
            }),
            home: Some(HomeServer { export: "files:/home".to_owned(), options: "vers=4".to_owned() }),
            printers: vec![Printer {
                name: "p".to_owned(),
                uri: "ipp://p/x".to_owned(),
                model: "everywhere".to_owned(),
            }],
            desktop: Some(DesktopChoice { environment: DesktopEnvironment::Kde, remote: RemoteAccess::Xrdp }),
            purchased_on: "2024-09-30".to_owned(),
            ..ClientConfig::default()
        };
        assert_eq!(MachineForm::of(&config).config(&config).unwrap(), config);
    }

    #[test]
    fn what_cannot_be_read_is_told_by_field() {
        let form = MachineForm {
            network: "static".to_owned(),
            address: "10.0.0.5".to_owned(),
            nameservers: "x".to_owned(),
            printers: "only-a-name".to_owned(),
            ..MachineForm::fresh("de")
        };
        let problems = form.config(&ClientConfig::default()).unwrap_err();
        let fields: Vec<_> = problems.into_iter().map(|problem| problem.field).collect();
        assert_eq!(fields, ["nameservers", "address", "printers"]);
        assert_eq!(field_of("config.users[0].ssh_keys[1]"), "ssh_keys");
    }
}
