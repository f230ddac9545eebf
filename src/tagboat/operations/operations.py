"""All operations, by subject: the one thing that faces are given."""

from tagboat.core.principal import Principal
from tagboat.core.values import replace
from tagboat.operations.accounts import AccountOperations
from tagboat.operations.adoption import AdoptionOperations
from tagboat.operations.config_file import ConfigFileOperations
from tagboat.operations.deploys import DeployOperations
from tagboat.operations.health import HealthChecks
from tagboat.operations.hosts import ServedHosts
from tagboat.operations.image_facts import KnownImages
from tagboat.operations.lifecycle import LifecycleOperations
from tagboat.operations.live_logs import LiveLogs
from tagboat.operations.one_offs import OneOffOperations
from tagboat.operations.projects import ProjectOperations
from tagboat.operations.queries.audit import AuditQueries
from tagboat.operations.queries.catalog import CatalogQueries
from tagboat.operations.queries.comparisons import ComparisonQueries
from tagboat.operations.queries.connect import ConnectQueries
from tagboat.operations.queries.deliveries import DeliveryQueries
from tagboat.operations.queries.deploy_page import DeployPageQuery
from tagboat.operations.queries.deploys import DeployQueries
from tagboat.operations.queries.finder import FinderQuery
from tagboat.operations.queries.image_look import ImageLookQueries
from tagboat.operations.queries.logs import LogQueries
from tagboat.operations.queries.machine import MachineQueries
from tagboat.operations.queries.metrics import MetricsQuery
from tagboat.operations.queries.needs import NeedQueries
from tagboat.operations.queries.overview import OverviewQuery
from tagboat.operations.queries.overview_page import OverviewPageQuery
from tagboat.operations.queries.patterns import PatternQueries
from tagboat.operations.queries.project_page import ProjectPageQueries
from tagboat.operations.queries.registry_use import RegistryUseQueries
from tagboat.operations.queries.tags import TagQueries
from tagboat.operations.quick_deploys import QuickDeploys
from tagboat.operations.registries import RegistryOperations
from tagboat.operations.services import OperationServices
from tagboat.operations.sessions import SessionOperations
from tagboat.operations.settings import SettingsOperations
from tagboat.operations.sign_in_links import SignInLinks
from tagboat.operations.single_sign_on import SingleSignOn
from tagboat.operations.stages import StageOperations
from tagboat.operations.tokens import TokenOperations
from tagboat.operations.webhooks import WebhookOperations


class Operations:
    """Changes by subject, and the read model: `catalog`, `history`, `deliveries` and so on."""

    def __init__(self, services: OperationServices, images: KnownImages | None = None) -> None:
        self._services = services
        # One memory for all who ask: what a digest describes is no secret of theirs.
        self._images = images or KnownImages(services)
        self.projects = ProjectOperations(services)
        self.stages = StageOperations(services)
        self.registries = RegistryOperations(services)
        self.webhooks = WebhookOperations(services)
        self.deploys = DeployOperations(services)
        self.lifecycle = LifecycleOperations(services)
        self.one_offs = OneOffOperations(services)
        self.quick_deploys = QuickDeploys(services)
        self.adoption = AdoptionOperations(services)
        self.settings = SettingsOperations(services)
        self.config_file = ConfigFileOperations(services)
        self.accounts = AccountOperations(services)
        self.sessions = SessionOperations(services)
        self.sign_in_links = SignInLinks(services)
        self.single_sign_on = SingleSignOn(services)
        self.tokens = TokenOperations(services)
        self.hosts = ServedHosts(services)
        self.health = HealthChecks(services)
        self.catalog = CatalogQueries(services)
        self.history = DeployQueries(services)
        self.logs = LogQueries(services)
        self.live_logs = LiveLogs(services)
        self.deliveries = DeliveryQueries(services)
        self.overview = OverviewQuery(services)
        self.overview_page = OverviewPageQuery(services)
        self.deploy_page = DeployPageQuery(services)
        self.project_page = ProjectPageQueries(services)
        self.machine = MachineQueries(services)
        self.metrics = MetricsQuery(services, self.health)
        self.tags = TagQueries(services)
        self.patterns = PatternQueries(services)
        self.comparisons = ComparisonQueries(services, self._images)
        self.connect = ConnectQueries(services)
        self.image_look = ImageLookQueries(services)
        self.needs = NeedQueries(services)
        self.audit = AuditQueries(services)
        self.registry_use = RegistryUseQueries(services)
        self.finder = FinderQuery(services)
        self.explain = services.explain

    def by(self, actor: Principal) -> "Operations":
        """Return the same operations, asked for by `actor`."""
        return Operations(replace(self._services, actor=actor), self._images)
