"""Tenants, people and their roles, tokens, keys and credentials."""

import uuid

from django.contrib.auth.models import AbstractUser
from django.db import models


class Role(models.TextChoices):
    """What a member does: reviewers decide, operators start and stop, admins configure. Every member reads."""

    REVIEWER = "reviewer"
    OPERATOR = "operator"
    ADMIN = "admin"


class Tenant(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    slug = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=200)
    is_demo = models.BooleanField(default=False)
    queue = models.CharField(
        max_length=60, blank=True, default=""
    )  # of runs whose workflow names none; see console.queues
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.slug


class User(AbstractUser):
    """A person. Belongs to no tenant by itself; see Membership."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # An admin knows the password: until the person has chosen another, pages show them that form and nothing else.
    first_password = models.BooleanField(default=False)

    @property
    def name(self) -> str:
        """What other people read."""
        return self.get_full_name() or self.username


class Membership(models.Model):
    """A person's one role in one tenant. Ended by ``active = False``, never deleted."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role.choices)
    active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "user"], name="one_membership_each"),
            models.UniqueConstraint(fields=["tenant", "id"], name="membership_in_tenant"),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="membership_role"),
        ]

    def __str__(self) -> str:
        return f"{self.role} {self.user_id}"


class Group(models.Model):
    """People whom a rule may ask together: "finance". Rules name it; what may be done with one is in groups.py."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=60)  # small letters, digits and hyphens
    description = models.CharField(max_length=500, blank=True, default="")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "name"], name="group_name"),
            models.UniqueConstraint(fields=["tenant", "id"], name="group_in_tenant"),
        ]

    def __str__(self) -> str:
        return self.name


class GroupMember(models.Model):
    """A person in a group. Says nothing of what they may do there: that is their role's."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="+")
    group = models.ForeignKey(Group, on_delete=models.CASCADE, related_name="people")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    added_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "group", "user"], name="once_in_a_group")]
        indexes = [models.Index(fields=["tenant", "user"], name="groups_of_person")]

    def __str__(self) -> str:
        return f"{self.user_id} in {self.group_id}"


class Absence(models.Model):
    """From ``starts`` until ``ends`` the delegate counts as a member of the absent person's groups; see absences.py."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    delegate = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    starts = models.DateTimeField()
    ends = models.DateTimeField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(ends__gt=models.F("starts")), name="absence_ends_later"),
            models.CheckConstraint(condition=~models.Q(user=models.F("delegate")), name="absence_of_another"),
        ]
        indexes = [
            models.Index(fields=["tenant", "user", "ends"], name="absences_of_person"),
            models.Index(fields=["tenant", "delegate", "ends"], name="absences_by_delegate"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} away until {self.ends}"


class ServiceAccount(models.Model):
    """A program that acts in a tenant; it has tokens, and no password."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE)
    name = models.CharField(max_length=100)
    active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "name"], name="service_account_name"),
            models.UniqueConstraint(fields=["tenant", "id"], name="service_account_in_tenant"),
        ]

    def __str__(self) -> str:
        return self.name


class ApiToken(models.Model):
    """A bearer token of a user or a service account, for one tenant and one role. Only its digest is kept."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE)
    user = models.ForeignKey(User, null=True, on_delete=models.CASCADE)
    service = models.ForeignKey(ServiceAccount, null=True, on_delete=models.CASCADE)
    role = models.CharField(max_length=10, choices=Role.choices)
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=20)  # the visible beginning of the secret
    digest = models.CharField(max_length=64)  # sha256 of the whole token; it is random, so no salt is needed
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)  # to the minute

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "digest"], name="token_digest"),
            models.UniqueConstraint(fields=["tenant", "id"], name="token_in_tenant"),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="token_role"),
            models.CheckConstraint(
                condition=models.Q(user__isnull=True, service__isnull=False)
                | models.Q(user__isnull=False, service__isnull=True),
                name="token_of_one",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}...)"


class DataKey(models.Model):
    """A tenant's key, wrapped under SAYSO_MASTER_KEY. The newest seals; every one unseals what it sealed."""

    key_id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE)
    wrapped = models.BinaryField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "key_id"], name="data_key_in_tenant")]


class Credential(models.Model):
    """How a tenant's teams reach a model provider. The key is sealed, and never shown again."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE)
    name = models.CharField(max_length=100)
    provider = models.CharField(max_length=60)
    base_url = models.CharField(max_length=500, blank=True, default="")  # empty: the provider's own
    options = models.JSONField(default=dict)  # of Azure: api_version, deployment, auth (key or token)
    region = models.CharField(max_length=60, blank=True, default="")  # where the provider works: "eu-west-1"
    zone = models.CharField(max_length=60, blank=True, default="")  # whose rules hold there: "EU", "US", "UK"
    sealed_key = models.BinaryField()
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    updated_by = models.CharField(max_length=200, default="")  # a name, by value
    last_used_at = models.DateTimeField(null=True)  # by a run that a worker took up; to the minute

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "name"], name="credential_name"),
            models.UniqueConstraint(fields=["tenant", "id"], name="credential_in_tenant"),
        ]

    def __str__(self) -> str:
        return self.name


class TenantLimits(models.Model):
    """What a tenant's runs may take, together and each; see console/workflows/limits.py. No row: the defaults."""

    tenant = models.OneToOneField(Tenant, on_delete=models.CASCADE, primary_key=True, related_name="+")
    limits = models.JSONField(default=dict)
    updated_at = models.DateTimeField(auto_now=True)
    updated_by = models.CharField(max_length=200, default="")  # a name, by value


class TenantDisplay(models.Model):
    """To whom the contents of runs are shown, and what is blotted out of them; see display.py. No row: everything to all."""

    tenant = models.OneToOneField(Tenant, on_delete=models.CASCADE, primary_key=True, related_name="+")
    shown_to = models.CharField(max_length=12)  # everyone, reviewers, admins
    masks = models.JSONField(default=list)  # email, card, iban
    patterns = models.JSONField(default=list)  # [{"name", "pattern"}]
    updated_at = models.DateTimeField(auto_now=True)
    updated_by = models.CharField(max_length=200, default="")  # a name, by value


class IdempotencyRecord(models.Model):
    """The answer to one writing API call, by the caller's Idempotency-Key; see console/idempotency.py."""

    id = models.BigAutoField(primary_key=True)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE)
    caller_id = models.UUIDField()  # the user or service account
    key = models.CharField(max_length=200)
    method = models.CharField(max_length=10)
    path = models.CharField(max_length=500)
    request_digest = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True)  # set, with the response, before the row is ever committed
    content_type = models.CharField(max_length=100, default="")
    sealed_response = models.BinaryField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "caller_id", "key"], name="idempotency_key")]
        indexes = [models.Index(fields=["created_at"], name="idempotency_age")]
