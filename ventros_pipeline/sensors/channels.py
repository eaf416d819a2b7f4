"""`channel_sensor`: channels of the CRM become partition keys.

Keys are never taken away: a run in flight would fail without its key, and what was imported stays.
A read that fails fails the tick, and changes nothing.
"""

import dagster as dg

from ventros_pipeline.crm.plans import enabled_channels
from ventros_pipeline.partitions import CHANNEL, channel_partitions
from ventros_pipeline.resources import Pipeline


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Makes every WhatsApp channel of the CRM whose import is on known to Dagster, as a "
    "partition. Asks WAHA nothing.",
)
def channel_sensor(
    context: dg.SensorEvaluationContext, pipeline: Pipeline
) -> dg.SensorResult | dg.SkipReason:
    """Add the keys that are not there yet."""
    known = set(context.instance.get_dynamic_partitions(CHANNEL))
    keys = [channel.key for channel in enabled_channels(pipeline.engine)]
    fresh = [key for key in keys if key not in known]
    if not fresh:
        return dg.SkipReason(f"all {len(keys)} channels are known")
    return dg.SensorResult(
        dynamic_partitions_requests=[channel_partitions.build_add_request(fresh)]
    )
