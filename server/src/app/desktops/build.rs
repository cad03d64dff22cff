//! Making a desktop's machine at one provider: the machine, what makes it reachable, and its start. Each step is what the journal lacks next.

use super::{
    super::{
        providers::{BootImage, boot_image, keep_image},
        user_data,
    },
    clear,
    finding::{Settled, address_tag, egress_tag, patience, settle},
    trial::{self, begin, give_up, met},
    work::{Halt, Next, Turn},
};
use crate::{
    clock::SECOND,
    db::{
        self, clients,
        desktops::{
            self,
            parts::{self, Intended},
            trials,
        },
        providers::ProviderRecord,
    },
    domain::{
        client::RemoteAccess,
        desktop::{
            DesktopPart, DesktopState, FaultClass, PartKind, PartState, PowerOrder, ProviderTrial,
            TrialState, ports, tagged_name,
        },
    },
    identity::token::random_bytes,
    vm::{self, Begun, NewRule, NewVm, Place, Progress, Provider, PublicAddress, RulesOf, Vm, VmState},
};

/// A machine that is not there after so long does not come.
const LONGEST: i64 = 3600 * SECOND;
/// Whether the boot image has come is looked at again after so many seconds.
const IMAGE_S: i64 = 5;

/// The next step of a desktop whose machine is being made.
pub(super) async fn step(turn: &Turn<'_>) -> Result<Next, Halt> {
    let last = |state| turn.trials.iter().rev().find(|trial| trial.state == state);
    if let Some(trial) = last(TrialState::Clearing) {
        let left: Vec<_> = turn
            .parts
            .iter()
            .filter(|part| part.trial == trial.id && part.state != PartState::Gone)
            .collect();
        if !left.is_empty() {
            return clear::step(turn, &left).await;
        }
        let mut tx = turn.write().await?;
        trials::end(&mut tx, trial.id, TrialState::Failed, turn.ctx.now()).await?;
        tx.commit().await?;
        return Ok(Next::Now);
    }
    let Some(trial) = last(TrialState::Building) else { return begin(turn).await };
    let (record, opened) = turn.provider(trial.provider_id).await?;
    let Some(place) = &trial.place else {
        let offers = match opened.offers(turn.ctx.now()).await {
            Ok(offers) => offers,
            Err(error) => return met(turn, trial, &error, None).await,
        };
        let image = match image(turn, &record, opened.provider.as_ref()).await? {
            None => None,
            Some(BootImage::Ready(id)) => Some(id),
            Some(BootImage::Coming(how)) => {
                trial::say(turn, &how).await?;
                return Ok(Next::After(IMAGE_S));
            }
            Some(BootImage::Missing(why)) => return trial::unfit(turn, trial, &why).await,
        };
        return match vm::place(&record.wish.of(&turn.desktop.wish), &turn.desktop.wish.size, &offers) {
            Ok(mut place) => {
                place.iso = image.unwrap_or(place.iso);
                let text = serde_json::to_string(&place).map_err(broken)?;
                let mut tx = turn.write().await?;
                trials::set_place(&mut tx, trial.id, &text).await?;
                tx.commit().await?;
                Ok(Next::Now)
            }
            Err(missing) => trial::unfit(turn, trial, &missing.join("; ")).await,
        };
    };
    let place = serde_json::from_str(place).map_err(broken)?;
    let remote = remote_of(turn).await?;
    let ports = ports(&record.wish.ports, remote);
    Building { turn, trial, record, ports, provider: opened.provider.as_ref(), place }.go().await
}

/// How it stands with the boot image that Lotse keeps at a provider; none where the provider has one of its own choice.
async fn image(
    turn: &Turn<'_>,
    record: &ProviderRecord,
    provider: &dyn Provider,
) -> Result<Option<BootImage>, Halt> {
    if !record.wish.iso.is_empty() {
        return Ok(None);
    }
    if !provider.keeps_images() {
        return Ok(Some(BootImage::Missing("no ISO image is named".to_owned())));
    }
    keep_image(turn.ctx, record).await?;
    let mut tx = turn.ctx.db.read().await?;
    Ok(Some(boot_image(turn.ctx, &mut tx, record.id).await?))
}

/// How the desktop is used.
async fn remote_of(turn: &Turn<'_>) -> Result<RemoteAccess, Halt> {
    let Some(client) = turn.desktop.client else { return Ok(RemoteAccess::None) };
    let mut tx = turn.ctx.db.read().await?;
    let client = clients::find(&mut tx, client).await?;
    Ok(client.and_then(|client| client.config.desktop).unwrap_or_default().remote)
}

fn broken(error: serde_json::Error) -> crate::app::Error {
    crate::app::Error::Internal(error.into())
}

struct Building<'a> {
    turn: &'a Turn<'a>,
    trial: &'a ProviderTrial,
    record: ProviderRecord,
    /// Ports of the machine that are reached from outside.
    ports: Vec<u16>,
    provider: &'a dyn Provider,
    place: Place,
}

impl Building<'_> {
    async fn go(&self) -> Result<Next, Halt> {
        // What was waited for before, such as the boot image, has no such end.
        let of_trial = self.turn.parts.iter().filter(|part| part.trial == self.trial.id);
        let begun = of_trial.map(|part| part.intended_at).min();
        if begun.is_some_and(|begun| self.turn.ctx.now() - begun > LONGEST) {
            return self.give_up(FaultClass::Transient, "it is not there after an hour").await;
        }
        let Some(part) = self.part(PartKind::Vm, None) else { return self.deploy().await };
        if part.state != PartState::Made {
            return self.settle(part).await;
        }
        let id = part.remote.as_deref().unwrap_or_default();
        let machine = match self.provider.vm(id).await {
            Ok(Some(machine)) if machine.state == VmState::Broken => {
                let reason = format!("the machine is in the state {}", machine.state_text);
                return self.give_up(FaultClass::Capacity, &reason).await;
            }
            Ok(Some(machine)) => machine,
            Ok(None) => return self.give_up(FaultClass::Transient, "the machine has vanished").await,
            Err(error) => return met(self.turn, self.trial, &error, None).await,
        };
        if self.place.isolated
            && let Some(next) = self.make_reachable(&machine).await?
        {
            return Ok(next);
        }
        self.start(part, &machine).await
    }

    /// The line of this trial that is about a part and not over, for one port of the machine where there are several.
    fn part(&self, kind: PartKind, guest_port: Option<u16>) -> Option<&DesktopPart> {
        self.turn.parts.iter().find(|part| {
            part.trial == self.trial.id
                && part.kind == kind
                && part.state != PartState::Gone
                && (guest_port.is_none() || part.guest_port == guest_port.map(i64::from))
        })
    }

    async fn give_up(&self, class: FaultClass, reason: &str) -> Result<Next, Halt> {
        let error = vm::Error::new(class, &format!("making desktop {}", self.turn.desktop.name), reason);
        give_up(self.turn, self.trial, &error).await
    }

    /// Finds out what has become of a part that was asked for.
    async fn settle(&self, part: &DesktopPart) -> Result<Next, Halt> {
        match settle(self.turn, self.provider, part).await? {
            Settled::Made | Settled::Gone => Ok(Next::Now),
            Settled::Open(0) => Ok(Next::Now),
            Settled::Open(seconds) => Ok(Next::After(seconds)),
            Settled::Failed(error) => give_up(self.turn, self.trial, &error).await,
            Settled::Unheard(error) => met(self.turn, self.trial, &error, None).await,
        }
    }

    fn intended<'b>(&self, kind: PartKind, tag: &'b str) -> Intended<'b> {
        Intended {
            desktop: self.turn.desktop.id,
            trial: self.trial.id,
            provider: self.trial.provider_id,
            kind,
            tag,
            address: None,
            ports: None,
        }
    }

    /// Writes down what came of asking.
    async fn asked(&self, part: i64, answer: Result<Begun, vm::Error>) -> Result<Next, Halt> {
        let begun = match answer {
            Ok(begun) => begun,
            Err(error) => return met(self.turn, self.trial, &error, Some(part)).await,
        };
        let state = match (&begun.job, &begun.id) {
            (Some(_), _) => PartState::Making,
            (None, Some(_)) => PartState::Made,
            (None, None) => PartState::Intended,
        };
        let mut tx = self.turn.write().await?;
        let now = self.turn.ctx.now();
        parts::set_state(&mut tx, part, state, begun.id.as_deref(), begun.job.as_deref(), now).await?;
        tx.commit().await?;
        Ok(Next::Now)
    }

    /// Asks for the machine, with a token that only it can have.
    async fn deploy(&self) -> Result<Next, Halt> {
        let (ctx, desktop) = (self.turn.ctx, &self.turn.desktop);
        let Some(client) = desktop.client else {
            return self.give_up(FaultClass::Caller, "its client is gone").await;
        };
        let now = ctx.now();
        let tag = tagged_name(&desktop.name, random_bytes());
        let mut tx = self.turn.write().await?;
        let Some(client) = clients::find(&mut tx, client).await? else {
            drop(tx);
            return self.give_up(FaultClass::Caller, "its client is gone").await;
        };
        let user_data = user_data::make(ctx, &mut tx, &client, "server").await?.text;
        let part = parts::intend(&mut tx, &self.intended(PartKind::Vm, &tag), now).await?;
        tx.commit().await?;
        let new = NewVm { name: &tag, title: &desktop.name, place: &self.place, user_data: &user_data };
        let answer = self.provider.deploy(&new).await;
        self.asked(part, answer).await
    }

    /// Makes what is still missing for others to reach the machine, and for it to reach others; nothing when all is there.
    async fn make_reachable(&self, machine: &Vm) -> Result<Option<Next>, Halt> {
        if self.place.closed_outwards {
            match self.part(PartKind::Egress, None) {
                None => return self.let_out(machine).await.map(Some),
                Some(part) if part.state != PartState::Made => return self.settle(part).await.map(Some),
                Some(_) => {}
            }
        }
        for guest_port in &self.ports {
            match self.part(PartKind::Forwarding, Some(*guest_port)) {
                None => return self.forward(machine, *guest_port).await.map(Some),
                Some(part) if part.state != PartState::Made => return self.settle(part).await.map(Some),
                Some(forwarding) => match self.part(PartKind::Firewall, Some(*guest_port)) {
                    None => return self.open(forwarding).await.map(Some),
                    Some(part) if part.state != PartState::Made => return self.settle(part).await.map(Some),
                    Some(_) => {}
                },
            }
        }
        Ok(None)
    }

    async fn let_out(&self, machine: &Vm) -> Result<Next, Halt> {
        if machine.address.is_empty() {
            let error =
                vm::Error::new(FaultClass::Transient, "letting the machine out", "it has no address yet");
            return met(self.turn, self.trial, &error, None).await;
        }
        let tag = egress_tag(&self.place.network, &machine.address);
        let mut tx = self.turn.write().await?;
        let part =
            parts::intend(&mut tx, &self.intended(PartKind::Egress, &tag), self.turn.ctx.now()).await?;
        tx.commit().await?;
        let rule = NewRule::Egress { network: self.place.network.clone(), source: machine.address.clone() };
        let answer = self.provider.open(&rule).await;
        self.asked(part, answer).await
    }

    /// Gives the machine a port of its own on the public address.
    async fn forward(&self, machine: &Vm, guest_port: u16) -> Result<Next, Halt> {
        let address = match self.address().await? {
            Ok(address) => address,
            Err(next) => return Ok(next),
        };
        let mut taken: Vec<(u16, u16)> = Vec::new();
        for of in [RulesOf::Forwarding(address.id.clone()), RulesOf::Firewall(address.id.clone())] {
            match self.provider.rules(&of).await {
                Ok(rules) => taken.extend(rules.iter().map(|rule| (rule.port, rule.last_port))),
                Err(error) => return met(self.turn, self.trial, &error, None).await,
            }
        }
        let now = self.turn.ctx.now();
        let mut tx = self.turn.write().await?;
        let ours = parts::ports(&mut tx, self.trial.provider_id, &address.id).await?;
        let is_free = |port: &u16| {
            !ours.contains(&i64::from(*port))
                && taken.iter().all(|(first, last)| !(*first..=*last).contains(port))
        };
        let Some(port) = (self.record.wish.first_port..=u16::MAX).find(is_free) else {
            drop(tx);
            let reason = format!("the address {} has no free port", address.address);
            return self.give_up(FaultClass::Quota, &reason).await;
        };
        let tag = format!("{} port {port}", address.address);
        let intended = Intended {
            address: Some((&address.id, &address.address)),
            ports: Some((port, guest_port)),
            ..self.intended(PartKind::Forwarding, &tag)
        };
        let part = match parts::intend(&mut tx, &intended, now).await {
            Ok(part) => part,
            // Another server was quicker.
            Err(db::Error::Exists(_)) => return Ok(Next::Now),
            Err(error) => return Err(error.into()),
        };
        tx.commit().await?;
        let rule = NewRule::Forwarding { address: address.id, port, vm: machine.id.clone(), guest_port };
        let answer = self.provider.open(&rule).await;
        self.asked(part, answer).await
    }

    /// Lets others reach a forwarded port.
    async fn open(&self, forwarding: &DesktopPart) -> Result<Next, Halt> {
        let address = forwarding.address.as_deref().unwrap_or_default();
        let number = |port: Option<i64>| port.and_then(|port| u16::try_from(port).ok()).unwrap_or_default();
        let (port, guest_port) = (number(forwarding.port), number(forwarding.guest_port));
        let intended = Intended {
            address: Some((address, &forwarding.address_text)),
            ports: Some((port, guest_port)),
            ..self.intended(PartKind::Firewall, &forwarding.tag)
        };
        let mut tx = self.turn.write().await?;
        let part = parts::intend(&mut tx, &intended, self.turn.ctx.now()).await?;
        tx.commit().await?;
        let sources = self.record.wish.sources.clone();
        let answer =
            self.provider.open(&NewRule::Firewall { address: address.to_owned(), port, sources }).await;
        self.asked(part, answer).await
    }

    /// The public address for the forwarded ports: the one that the wish names, one that the network has, or a new one.
    async fn address(&self) -> Result<Result<PublicAddress, Next>, Halt> {
        if let Some(part) = self.part(PartKind::Address, None).filter(|part| part.state != PartState::Made) {
            return self.settle(part).await.map(Err);
        }
        let network = &self.place.network;
        let found = match self.provider.addresses(network).await {
            Ok(found) => found,
            Err(error) => return met(self.turn, self.trial, &error, None).await.map(Err),
        };
        let named = &self.place.address;
        if !named.is_empty() {
            if let Some(address) = found.into_iter().find(|address| address.address == *named) {
                return Ok(Ok(address));
            }
            let reason = format!("the network has no public address {named}");
            return self.give_up(FaultClass::Caller, &reason).await.map(Err);
        }
        let mut tx = self.turn.write().await?;
        let got = parts::addresses(&mut tx, self.trial.provider_id).await?;
        let leaves = |id: &str| {
            got.iter().any(|(other, state)| other.as_deref() == Some(id) && *state != PartState::Made)
        };
        let usable = found.iter().filter(|address| address.usable && !leaves(&address.id));
        if let Some(address) =
            usable.clone().find(|address| address.is_networks_own).or_else(|| usable.clone().next())
        {
            return Ok(Ok(address.clone()));
        }
        let tag = address_tag(network, found.iter().map(|address| address.id.as_str()));
        let intended = self.intended(PartKind::Address, &tag);
        let part = match parts::intend(&mut tx, &intended, self.turn.ctx.now()).await {
            Ok(part) => part,
            // Another desktop asks for one already, which then serves both.
            Err(db::Error::Exists(_)) => return Ok(Err(Next::After(2))),
            Err(error) => return Err(error.into()),
        };
        tx.commit().await?;
        let answer = self.provider.allocate(network).await;
        self.asked(part, answer).await.map(Err)
    }

    /// Starts the machine, and sees that it runs.
    async fn start(&self, part: &DesktopPart, machine: &Vm) -> Result<Next, Halt> {
        let now = self.turn.ctx.now();
        if let Some(job) = &part.job {
            let failed = match self.provider.job(job).await {
                Ok(Progress::Pending) => return Ok(Next::After(patience(now - part.changed_at))),
                Ok(Progress::Done(_)) => None,
                Ok(Progress::Failed(error)) => Some(error),
                // A job that the provider has forgotten is over; the machine's state says how.
                Err(error) if error.class == FaultClass::Gone => None,
                Err(error) => return met(self.turn, self.trial, &error, None).await,
            };
            let mut tx = self.turn.write().await?;
            parts::set_state(&mut tx, part.id, PartState::Made, None, None, now).await?;
            tx.commit().await?;
            return match failed {
                Some(error) => give_up(self.turn, self.trial, &error).await,
                None => Ok(Next::Now),
            };
        }
        match machine.state {
            VmState::Running => self.succeed(machine).await,
            VmState::Stopped => match self.provider.power(&machine.id, PowerOrder::Start).await {
                Ok(begun) => {
                    let mut tx = self.turn.write().await?;
                    parts::set_state(&mut tx, part.id, PartState::Made, None, begun.job.as_deref(), now)
                        .await?;
                    tx.commit().await?;
                    Ok(Next::After(2))
                }
                // The machine's state says whether it was done.
                Err(error) => met(self.turn, self.trial, &error, None).await,
            },
            VmState::Moving | VmState::Unknown | VmState::Broken | VmState::Removed => Ok(Next::After(3)),
        }
    }

    async fn succeed(&self, machine: &Vm) -> Result<Next, Halt> {
        let now = self.turn.ctx.now();
        let mut tx = self.turn.write().await?;
        trials::end(&mut tx, self.trial.id, TrialState::Succeeded, now).await?;
        crate::app::providers::note(&mut tx, self.trial.provider_id, None, now).await?;
        desktops::set_power(&mut tx, self.turn.desktop.id, &machine.state_text, machine.iso.is_some())
            .await?;
        self.turn.become_state(tx, DesktopState::Ready, "").await?;
        Ok(Next::Now)
    }
}
